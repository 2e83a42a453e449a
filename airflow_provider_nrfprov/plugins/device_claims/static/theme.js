// Light or dark, as Airflow is around this page.

/** Take on Airflow's theme, now and whenever it changes; alone, that of the browser. */
export function followTheme() {
  const set = (dark) => document.documentElement.classList.toggle("dark", dark);
  const system = matchMedia("(prefers-color-scheme: dark)");
  let around = null;
  try {
    if (window.parent !== window) around = window.parent.document.documentElement;
  } catch {
    // Inside a page of somebody else.
  }
  if (!around) {
    set(system.matches);
    system.addEventListener("change", () => set(system.matches));
    return;
  }
  const look = () => set(around.classList.contains("dark") || around.dataset.theme === "dark");
  look();
  new MutationObserver(look).observe(around, { attributes: true, attributeFilter: ["class", "data-theme"] });
}
