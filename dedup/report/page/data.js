// What this page is about, and its images, which stand below the script in the page.

export const data = JSON.parse(document.getElementById("data").textContent);


const whole = new Promise((resolve) => {
  if (document.readyState !== "loading") resolve();
  else document.addEventListener("DOMContentLoaded", resolve, { once: true });
});

/** Show an image of the page in an <img>, at once or as soon as the page is read so far. */
export async function show(image, number) {
  let block = document.getElementById(`i${number}`);
  if (!block?.nextSibling) { // the block may be read in part only
    await whole;
    block = document.getElementById(`i${number}`);
  }
  image.src = `data:image/webp;base64,${block.textContent}`;
}
