"""What an extractor hands over, and what it leaves behind in the model: nothing."""

from __future__ import annotations

import copy
import gc
import threading
import weakref
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dedup.errors import LayerError
from dedup.models.extractor import Extractor, Features


def hooks_in(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())  # noqa: SLF001  # what is tested


def images(count: int = 2, height: int = 8, width: int = 8) -> torch.Tensor:
    return torch.randn(count, 3, height, width)


class Gives(nn.Module):
    """A model whose layer ``inner`` puts out whatever the test asks for."""

    class Inner(nn.Module):
        def __init__(self, output: Any) -> None:
            super().__init__()
            self.output = output

        def forward(self, _: torch.Tensor) -> Any:
            return self.output

    def __init__(self, output: Any, prediction: Any = None) -> None:
        super().__init__()
        self.inner = self.Inner(output)
        self.prediction = prediction

    def forward(self, batch: torch.Tensor) -> Any:
        self.inner(batch)
        return batch.flatten(1) if self.prediction is None else self.prediction


def given(output: Any, *, batch: torch.Tensor | None = None, **options: Any) -> Features:
    with Extractor(Gives(output), ["inner"], **options) as extractor:
        return extractor(images() if batch is None else batch)


# Values: one pass, every layer


def test_hands_over_prediction_and_layers_of_one_pass(small_net: nn.Sequential) -> None:
    batch = images()
    runs: list[int] = []
    small_net.register_forward_hook(lambda *_: runs.append(1))
    features = Extractor(small_net, ["0", "2", "4"])(batch)
    assert len(runs) == 1
    with torch.no_grad():
        conv = small_net[0](batch)
        np.testing.assert_allclose(features["0"], conv.mean((2, 3)), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(features["2"], conv.relu().mean((2, 3)), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(features.prediction, small_net(batch))
    np.testing.assert_array_equal(features["4"], features.prediction)
    assert features.layers == tuple(features) == ("0", "2", "4")
    assert {values.dtype for values in features.values()} == {np.dtype(np.float32)}


def test_an_operation_in_place_does_not_change_what_was_captured(small_net: nn.Sequential) -> None:
    batch = images()
    with torch.no_grad():
        conv = small_net[0](batch).clone()
    assert (conv < 0).any()  # what the ReLU after it overwrites
    for reduce, wanted in ((False, conv), (True, conv.mean((2, 3)))):
        features = Extractor(small_net, ["0"], reduce=reduce)(batch)
        np.testing.assert_allclose(features["0"], wanted, rtol=1e-5, atol=1e-6)
    vectors = nn.Sequential(nn.Linear(4, 5), nn.ReLU(inplace=True))
    batch = torch.randn(3, 4)
    with torch.no_grad():
        wanted = vectors[0](batch)
    np.testing.assert_array_equal(Extractor(vectors, ["0"])(batch)["0"], wanted)


def test_prediction_is_a_copy_of_what_the_model_keeps() -> None:
    batch = images()
    features = Extractor(nn.Identity(), [])(batch)
    before = features.prediction.copy()  # type: ignore[union-attr]  # an array here
    batch.zero_()
    np.testing.assert_array_equal(features.prediction, before)


def test_prediction_can_be_a_layer(small_net: nn.Sequential) -> None:
    extractor = Extractor(small_net, ["prediction", "2"])
    features = extractor(images())
    np.testing.assert_array_equal(features["prediction"], features.prediction)
    assert extractor.resolved == {"prediction": "prediction", "2": "2"}


def test_input_of_a_layer_can_be_asked_for(small_net: nn.Sequential) -> None:
    features = Extractor(small_net, ["4:input", "3", "1:input", "0"])(images())
    np.testing.assert_array_equal(features["4:input"], features["3"])
    np.testing.assert_array_equal(features["1:input"], features["0"])


def test_a_name_given_twice_counts_once(small_net: nn.Sequential) -> None:
    extractor = Extractor(small_net, ["2", "0", "2"])
    assert extractor.layers == ("2", "0")
    assert hooks_in(small_net) == 2


@pytest.mark.parametrize("count", [0, 1, 3])
def test_any_number_of_images(small_net: nn.Sequential, count: int) -> None:
    features = Extractor(small_net, ["2"])(images(count))
    assert features["2"].shape == (count, 6)
    assert features.prediction.shape == (count, 4)  # type: ignore[union-attr]  # an array here


# The rule from output to embedding


def test_map_is_averaged_over_height_and_width() -> None:
    output = torch.randn(2, 5, 3, 4)
    np.testing.assert_allclose(given(output)["inner"], output.mean((2, 3)), rtol=1e-5, atol=1e-6)


def test_volume_is_averaged_over_everything_after_channels() -> None:
    output = torch.randn(2, 5, 3, 4, 2)
    wanted = output.mean((2, 3, 4))
    np.testing.assert_allclose(given(output)["inner"], wanted, rtol=1e-5, atol=1e-6)


def test_channels_last_map_of_square_images_is_known_by_its_shape() -> None:
    output = torch.randn(2, 4, 4, 7)
    np.testing.assert_allclose(given(output)["inner"], output.mean((1, 2)), rtol=1e-5, atol=1e-6)


def test_channels_last_map_of_other_images_has_to_be_declared() -> None:
    output, batch = torch.randn(2, 4, 4, 7), images(width=12)
    first = given(output, batch=batch)["inner"]
    np.testing.assert_allclose(first, output.mean((2, 3)), rtol=1e-5, atol=1e-6)
    model = Gives(output)
    model.output_fmt = "NHWC"  # type: ignore[assignment]  # as timm's Swin declares it
    last = Extractor(model, ["inner"])(batch)["inner"]
    np.testing.assert_allclose(last, output.mean((1, 2)), rtol=1e-5, atol=1e-6)


def test_convolution_is_channels_first_in_a_model_that_says_otherwise() -> None:
    model = nn.Sequential(OrderedDict(embed=nn.Conv2d(3, 8, 1)))
    model.output_fmt = "NHWC"  # type: ignore[assignment]  # as timm's Swin declares it
    batch = images(height=8, width=5)
    wanted = model(batch).mean((2, 3)).detach()
    np.testing.assert_allclose(Extractor(model, ["embed"])(batch)["embed"], wanted, rtol=1e-5)


def test_tokens_are_averaged_with_the_class_token() -> None:
    output = torch.randn(2, 5, 7)
    np.testing.assert_allclose(given(output)["inner"], output.mean(1), rtol=1e-5, atol=1e-6)


def test_one_dimensional_convolution_is_averaged_over_its_positions() -> None:
    model = nn.Sequential(nn.Conv1d(4, 6, 1))
    batch = torch.randn(2, 4, 9)
    wanted = model(batch).mean(2).detach()
    np.testing.assert_allclose(Extractor(model, ["0"])(batch)["0"], wanted, rtol=1e-5, atol=1e-6)


def test_one_number_per_image_becomes_a_vector() -> None:
    assert given(torch.tensor([1.0, 2.0]))["inner"].tolist() == [[1.0], [2.0]]


@pytest.mark.parametrize(
    "shape", [(2, 5, 3, 4), (2, 4, 4, 7), (2, 5, 7), (8, 5, 7), (2, 7), (2,), ()]
)
def test_whole_outputs_keep_their_shape_and_values(shape: tuple[int, ...]) -> None:
    output = torch.randn(shape)
    np.testing.assert_array_equal(given(output, reduce=False)["inner"], output)


def test_first_tensor_of_a_nested_output_counts() -> None:
    one, two = torch.randn(2, 3), torch.randn(2, 4)
    for output in ((None, [one, two]), [{"a": one}, two], {"skip": 1, "x": one, "y": two}):
        np.testing.assert_array_equal(given(output)["inner"], one)


def test_lstm_gives_its_sequence() -> None:
    model = nn.Sequential(nn.LSTM(4, 6, batch_first=True))
    batch = torch.randn(2, 5, 4)
    wanted = model(batch)[0].mean(1).detach()
    np.testing.assert_allclose(Extractor(model, ["0"])(batch)["0"], wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("output", [None, "text", (), {"a": 1}])
def test_output_without_a_tensor_is_an_error(output: Any) -> None:
    with pytest.raises(LayerError, match=r"'inner' put out a .*no tensor"):
        given(output)


@pytest.mark.parametrize("shape", [(8, 5, 7), (1, 3), ()])
def test_rows_that_are_not_images_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(LayerError, match=r"'inner' put out .* for 2 images.*reduce=False"):
        given(torch.zeros(shape))


def test_predictions_keep_their_structure() -> None:
    one, two = torch.randn(2, 3).half(), torch.tensor([1, 2])
    with Extractor(Gives(one, {"a": one, "b": (two, [one], "x")}), []) as extractor:
        prediction = extractor(images()).prediction
    assert isinstance(prediction, dict)
    numbers, (whole,), text = prediction["b"]
    assert prediction["a"].dtype == whole.dtype == np.float32
    assert numbers.tolist() == [1, 2]
    assert text == "x"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.int32])
def test_other_number_formats_become_float32(dtype: torch.dtype) -> None:
    output = torch.arange(24).reshape(2, 3, 2, 2).to(dtype)
    for reduce, wanted in ((True, output.float().mean((2, 3))), (False, output.float())):
        values = given(output, reduce=reduce)["inner"]
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, wanted)


def test_autocast_outputs_become_float32(small_net: nn.Sequential) -> None:
    batch = images()
    exact = Extractor(small_net, ["2", "4"])(batch)
    with torch.autocast("cpu", torch.bfloat16):
        features = Extractor(small_net, ["2", "4"])(batch)
    for layer in ("2", "4"):
        assert features[layer].dtype == np.float32
        np.testing.assert_allclose(features[layer], exact[layer], atol=0.02)
        assert not np.array_equal(features[layer], exact[layer])  # it did compute in bf16
    assert features.prediction.dtype == np.float32  # type: ignore[union-attr]  # an array here


# Layers that run several times, never, or under two names


class Repeats(nn.Module):
    """Runs ``step`` on its own output three times, and ``spare`` never."""

    def __init__(self) -> None:
        super().__init__()
        self.step = nn.Linear(3, 3)
        self.spare = nn.Linear(3, 3)
        self.also = self.step

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.step(self.also(self.step(batch)))  # type: ignore[no-any-return]


def test_calls_says_which_of_several_outputs_counts() -> None:
    model, batch = Repeats(), torch.randn(2, 3)
    with torch.no_grad():
        one = model.step(batch)
        two = model.step(one)
        three = model.step(two)
    wanted = {"first": one, "last": three, "mean": (one + two + three) / 3}
    for calls, value in wanted.items():
        for name in ("step", "also"):
            values = Extractor(model, [name], calls=calls)(batch)[name]  # type: ignore[arg-type]
            np.testing.assert_allclose(values, value, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(Extractor(model, ["step"])(batch)["step"], three, rtol=1e-5)


def test_both_names_of_a_shared_module_can_be_asked_for() -> None:
    features = Extractor(Repeats(), ["step", "also"])(torch.randn(2, 3))
    np.testing.assert_array_equal(features["step"], features["also"])


def test_outputs_of_different_shapes_have_no_mean() -> None:
    pool = nn.AdaptiveAvgPool2d(2)
    shared = nn.Identity()
    model = nn.Sequential(shared, pool, shared)
    with pytest.raises(LayerError, match="which have no mean"):
        Extractor(model, ["0"], reduce=False, calls="mean")(images())


def test_a_layer_that_never_runs_is_named() -> None:
    extractor = Extractor(Repeats(), ["step", "spare"])
    with pytest.raises(LayerError, match="no output from 'spare': not run"):
        extractor(torch.randn(2, 3))


def test_a_container_never_runs() -> None:
    class Container(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleList([nn.Linear(3, 3)])

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            return self.parts[0](batch)  # type: ignore[no-any-return]

    with pytest.raises(LayerError, match=r"'parts'.*Containers"):
        Extractor(Container(), ["parts"])(torch.randn(2, 3))


def test_outputs_of_an_earlier_pass_are_not_mistaken_for_this_one() -> None:
    class Sometimes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = nn.Linear(3, 3)
            self.runs = True

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            return self.part(batch) if self.runs else batch

    model = Sometimes()
    extractor = Extractor(model, ["part"])
    extractor(torch.randn(2, 3))
    model.runs = False
    with pytest.raises(LayerError, match="'part'"):
        extractor(torch.randn(2, 3))


# What it leaves behind


def test_hooks_are_gone_after_closing(small_net: nn.Sequential) -> None:
    with Extractor(small_net, ["0", "2:input"]) as extractor:
        assert hooks_in(small_net) == 2
        extractor(images())
    assert hooks_in(small_net) == 0
    extractor.close()
    with pytest.raises(ValueError, match="closed"):
        extractor(images())


def test_hooks_are_gone_after_an_exception_in_the_model(small_net: nn.Sequential) -> None:
    small_net.train()
    wrong = torch.randn(2, 5, 8, 8)
    with pytest.raises(RuntimeError, match="channels"), Extractor(small_net, ["0"]) as extractor:
        extractor(wrong)
    assert hooks_in(small_net) == 0
    assert small_net.training
    assert not torch.is_inference_mode_enabled()


def test_an_extractor_works_on_after_an_exception(small_net: nn.Sequential) -> None:
    batch = images()
    with Extractor(small_net, ["0"]) as extractor:
        before = extractor(batch)["0"]
        with pytest.raises(RuntimeError, match="channels"):
            extractor(torch.randn(2, 5, 8, 8))
        np.testing.assert_array_equal(extractor(batch)["0"], before)


def test_no_hooks_stay_when_construction_fails(small_net: nn.Sequential) -> None:
    with pytest.raises(LayerError, match="no layer 'nowhere'"):
        Extractor(small_net, ["0", "2", "nowhere"])
    assert hooks_in(small_net) == 0


def test_hooks_of_an_extractor_that_is_garbage_are_gone(small_net: nn.Sequential) -> None:
    extractor = Extractor(small_net, ["0"])
    assert hooks_in(small_net) == 1
    del extractor
    gc.collect()
    assert hooks_in(small_net) == 0


def test_each_training_flag_is_restored_and_evaluation_is_used() -> None:
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout(0.5), nn.Flatten()).train()
    model[0].eval()  # a frozen part of a model in training
    batch = images()
    with Extractor(model, ["1"], reduce=False) as extractor:
        np.testing.assert_allclose(extractor(batch)["1"], batch, rtol=1e-4)
        assert [module.training for module in model] == [False, True, True]
    assert [module.training for module in model] == [False, True, True]
    assert model.training
    assert torch.equal(model[0].running_mean, torch.zeros(3))  # type: ignore[arg-type]


def test_a_model_can_be_trained_on_afterwards(small_net: nn.Sequential) -> None:
    with Extractor(small_net, ["0"]) as extractor:
        extractor(images())
        small_net(images()).sum().backward()
    assert small_net[0].weight.grad is not None


def test_two_extractors_share_a_model(small_net: nn.Sequential) -> None:
    batch = images()
    with Extractor(small_net, ["0"]) as one:
        alone = one(batch)["0"]
        with Extractor(small_net, ["0", "2"], reduce=False) as two:
            assert two(batch)["0"].shape == (2, 6, 8, 8)
            np.testing.assert_array_equal(one(batch)["0"], alone)
        np.testing.assert_array_equal(one(batch)["0"], alone)
        assert hooks_in(small_net) == 1


def test_a_model_with_hooks_can_be_copied(small_net: nn.Sequential) -> None:
    batch = images()
    with Extractor(small_net, ["0"]) as extractor:
        twin = copy.deepcopy(small_net)
        with torch.no_grad():
            next(twin.parameters()).zero_()
        twin(batch)
        assert extractor(batch)["0"].any()


def test_threads_do_not_see_each_other(small_net: nn.Sequential) -> None:
    small_net.eval()
    batches = [images(count) for count in (1, 2, 3, 4)]
    extractor = Extractor(small_net, ["0"])
    wanted = [extractor(batch)["0"] for batch in batches]
    wrong: list[int] = []

    def work(at: int) -> None:
        same = all(np.array_equal(extractor(batches[at])["0"], wanted[at]) for _ in range(30))
        if not same:
            wrong.append(at)

    threads = [threading.Thread(target=work, args=(at,)) for at in range(len(batches))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# Wrapped models


class Dropped(nn.Module):
    """Two convolutions, for `torch.compile`."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 4, 3)
        self.two = nn.Conv2d(4, 5, 3)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.two(self.one(batch).relu_())  # type: ignore[no-any-return]


@pytest.mark.parametrize("how", ["wrapped", "in place", "a part"])
def test_compiled_models_hand_over_the_same_values(how: str) -> None:
    model, batch = Dropped().eval(), images()
    wanted = Extractor(model, ["one", "two"])(batch)
    ran: list[int] = []
    compiled: nn.Module = model
    if how == "wrapped":
        compiled = torch.compile(model, backend="eager")  # type: ignore[assignment]
    elif how == "in place":
        model.compile(backend="eager")
    else:
        compiled = nn.Sequential(OrderedDict(body=torch.compile(model, backend="eager")))  # type: ignore[arg-type]
    compiled(batch)
    # The trap: a hook that comes after the first compiled call is not called.
    handle = model.one.register_forward_hook(lambda *_: ran.append(1))
    compiled(batch)
    assert ran == []
    handle.remove()
    prefix = "body._orig_mod." if how == "a part" else ""
    names = [f"{prefix}one", f"{prefix}two"]
    with Extractor(compiled, names) as extractor:
        for _ in range(2):
            features = extractor(batch)
            np.testing.assert_array_equal(features[names[0]], wanted["one"])
            np.testing.assert_array_equal(features[names[1]], wanted["two"])
            np.testing.assert_array_equal(features.prediction, wanted.prediction)
    torch._dynamo.reset()  # noqa: SLF001  # leave no compiled code to the next test


@pytest.mark.slow
def test_inductor_models_hand_over_the_same_values() -> None:
    model, batch = Dropped().eval(), images()
    wanted = Extractor(model, ["one"])(batch)["one"]
    compiled: Any = torch.compile(model)
    with torch.inference_mode():
        np.testing.assert_allclose(compiled(batch), model(batch), atol=1e-5)
    np.testing.assert_array_equal(Extractor(compiled, ["one"])(batch)["one"], wanted)
    torch._dynamo.reset()  # noqa: SLF001  # leave no compiled code to the next test


def test_data_parallel_wrapper_is_taken_off(small_net: nn.Sequential) -> None:
    batch = images()
    extractor = Extractor(nn.DataParallel(small_net), ["2"])
    assert extractor.resolved == {"2": "2"}
    np.testing.assert_array_equal(extractor(batch)["2"], Extractor(small_net, ["2"])(batch)["2"])


@pytest.mark.filterwarnings("ignore:.*is deprecated:FutureWarning")
def test_traced_models_are_refused_with_the_reason(small_net: nn.Sequential) -> None:
    trace: Any = torch.jit.trace
    traced = trace(small_net.eval(), images())
    with pytest.raises(LayerError, match="outside Python"):
        Extractor(traced, ["2"])
    features = Extractor(traced, ["prediction"])(images(1))
    assert features["prediction"].shape == (1, 4)


def test_encoder_layers_with_a_fast_path_still_call_hooks() -> None:
    model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    assert Extractor(model, ["linear1"])(torch.randn(2, 3, 8))["linear1"].shape == (2, 16)


# Misuse


def test_misuse_is_told_apart_from_users_errors(small_net: nn.Sequential) -> None:
    with pytest.raises(TypeError, match=r"give \['global_pool'\]"):
        Extractor(small_net, "global_pool")
    with pytest.raises(TypeError, match=r"torch\.nn\.Module, not int"):
        Extractor(3, ["0"])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="last, first, mean"):
        Extractor(small_net, ["0"], calls="every")  # type: ignore[arg-type]
    with pytest.raises(KeyError):
        Extractor(small_net, ["0"])(images())["2"]


@pytest.mark.gpu
def test_device_memory_does_not_grow(small_net: nn.Sequential) -> None:
    small_net.cuda()
    with Extractor(small_net, ["0", "2"], reduce=False) as extractor:
        extractor(images(16, 64, 64))
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        for _ in range(10):
            extractor(images(16, 64, 64))
        assert torch.cuda.memory_allocated() == before


def test_tensors_of_a_pass_are_freed(small_net: nn.Sequential) -> None:
    outputs: list[weakref.ref[torch.Tensor]] = []
    with Extractor(small_net, ["0", "2"]) as extractor:
        small_net[0].register_forward_hook(lambda *given: outputs.append(weakref.ref(given[2])))
        features = extractor(images())
        small_net(images())
    gc.collect()
    assert len(outputs) == 2
    assert [output() for output in outputs] == [None, None]
    assert features["0"].any()
