// Elements made of text nodes: whatever a report holds is shown as text, and nothing is ever read as HTML.

const SVG = "http://www.w3.org/2000/svg";

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Return an element; attributes whose names begin with "on" are listeners, children are elements or text. */
export const h = (tag, attributes = {}, ...children) => filled(document.createElement(tag), attributes, children);

/** Return an element of an SVG picture. */
export const s = (tag, attributes = {}, ...children) =>
  filled(document.createElementNS(SVG, tag), attributes, children);

/** Show something in the place of what an element holds. */
export const show = (element, ...children) => filled(element, {}, (element.replaceChildren(), children));

/** Say something to those who listen to the page instead of seeing it. */
export const say = (text) => {
  document.getElementById("status").textContent = text;
};
