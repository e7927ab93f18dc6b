// The points of a map, drawn by WebGL: where they are, and how they are drawn.

import { data } from "./data.js";

export const count = data.x.length;

/** Places in the unit square, y downwards. */
export const places = new Float32Array(2 * count);
for (let at = 0; at < count; at += 1) {
  places[2 * at] = data.x[at] / data.steps;
  places[2 * at + 1] = data.y[at] / data.steps;
}

export const PLAIN = 0;
export const DUPLICATE = 1; // a dot in a ring
export const OUTLIER = 2; // an empty diamond

const VERTEX = `
attribute vec2 place;
attribute vec4 colour;
attribute float mark;
uniform vec4 view; // factors, then shifts, from the unit square to the canvas
uniform float size;
varying vec4 paint;
varying float kind;
void main() {
  gl_Position = vec4(place * view.xy + view.zw, 0.0, 1.0);
  gl_PointSize = mark > 0.5 ? 2.0 * size + 3.0 : size;
  paint = colour;
  kind = mark;
}`;
const FRAGMENT = `
precision mediump float;
varying vec4 paint;
varying float kind;
void main() {
  vec2 off = abs(2.0 * gl_PointCoord - 1.0);
  float far = kind > 1.5 ? off.x + off.y : length(off);
  bool inside = far < 1.0;
  if (kind > 1.5) inside = inside && far > 0.6;
  else if (kind > 0.5) inside = inside && (far > 0.72 || far < 0.45);
  if (!inside) discard;
  gl_FragColor = vec4(paint.rgb * paint.a, paint.a);
}`;

function program(gl) {
  const made = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(made, shader);
  }
  gl.linkProgram(made);
  gl.useProgram(made);
  return made;
}

function attribute(gl, made, word, size, kind, normalised) {
  const buffer = gl.createBuffer();
  const place = gl.getAttribLocation(made, word);
  gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
  gl.enableVertexAttribArray(place);
  gl.vertexAttribPointer(place, size, kind, normalised, 0, 0);
  return (values) => {
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.DYNAMIC_DRAW);
  };
}

/** Make what draws points on a canvas; null where the browser has no WebGL. */
export function pointsOn(canvas) {
  const gl = canvas.getContext("webgl", { antialias: false });
  if (!gl) return null;
  const made = program(gl);
  attribute(gl, made, "place", 2, gl.FLOAT, false)(places);
  const colours = attribute(gl, made, "colour", 4, gl.UNSIGNED_BYTE, true);
  const marks = attribute(gl, made, "mark", 1, gl.UNSIGNED_BYTE, false);
  gl.enable(gl.BLEND);
  gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  const uniform = (word) => gl.getUniformLocation(made, word);
  const [viewAt, sizeAt] = [uniform("view"), uniform("size")];
  return {
    /** Take a colour of four bytes and a kind of mark for each point. */
    paint(bytes, kinds) {
      colours(bytes);
      marks(kinds);
    },
    /** Draw; `scale`, `x` and `y` lead from the unit square to pixels. */
    draw({ scale, x, y, width, height }, size) {
      gl.viewport(0, 0, canvas.width, canvas.height);
      gl.clear(gl.COLOR_BUFFER_BIT);
      gl.uniform4f(viewAt, (2 * scale) / width, (-2 * scale) / height, (2 * x) / width - 1, 1 - (2 * y) / height);
      gl.uniform1f(sizeAt, size);
      gl.drawArrays(gl.POINTS, 0, count);
    },
  };
}
