// What the page asks: Airflow's own API in the session of whoever looks, and the routes of this page.

const HERE = new URL("../", location.href.split(/[?#]/)[0]);
/** Airflow's own address. */
export const AIRFLOW = new URL("../", HERE);

const WORDS = {
  401: "Your session has ended. Sign in to Airflow again, then reload this page.",
  403: "You may not see this in Airflow.",
};

/** Something could not be asked or was refused; the message is for people. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const query = (parameters) => {
  const text = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters))
    for (const each of [value].flat()) if (each !== "" && each !== null && each !== undefined) text.append(name, each);
  return text.size ? `?${text}` : "";
};
const path = (...ids) => ids.map(encodeURIComponent).join("/").replaceAll("%7E", "~");

async function ask(url, options = {}) {
  let answer;
  try {
    answer = await fetch(url, { credentials: "same-origin", cache: "no-store", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "Airflow does not answer. Is its web server running?");
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const detail = typeof body.detail === "string" ? body.detail : `Airflow answered ${answer.status}.`;
    throw new Refused(answer.status, WORDS[answer.status] ?? detail);
  }
  return body;
}

const get = (url, signal) => ask(url, { signal });
const post = (url, headers, body) => ask(url, { method: "POST", headers, body });

/** Return what Airflow's own API says. */
export const airflow = (ids, parameters = {}) => get(`${AIRFLOW}api/v2/${path(...ids)}${query(parameters)}`);

/** Return the claims, newest first. */
export const claims = (parameters) => get(`${HERE}api/claims${query(parameters)}`);

/** Return what the reports say of a device, from the claim that was reached on. */
export const search = (words, skip, signal) => get(`${HERE}api/search${query({ words, skip })}`, signal);

const below = (task, name, more = {}) =>
  `${HERE}api/dags/${path(task.dag_id)}/${name}` +
  query({ run_id: task.run_id, task_id: task.task_id, map_index: task.map_index, ...more });

/** Return a report's summary. */
export const report = (task) => get(below(task, "report"));
/** Return rows of a report, or how much of its index is built. */
export const rows = (task, wanted, signal) => get(below(task, "rows", wanted), signal);
/** Return the address of a report's file. */
export const reportFile = (task) => below(task, "report.csv");

/** Start a DAG run; return it. */
export const trigger = (dagId, body) =>
  post(`${AIRFLOW}api/v2/${path("dags", dagId, "dagRuns")}`, { "Content-Type": "application/json" }, JSON.stringify(body));

/** Return what names a task instance in a path of Airflow's API. */
export const taskPath = (task) => [
  ...["dags", task.dag_id, "dagRuns", task.run_id, "taskInstances", task.task_id],
  ...(task.map_index >= 0 ? [String(task.map_index)] : []),
];

const page = (task, mapped) =>
  `${AIRFLOW}dags/${path(task.dag_id)}/runs/${path(task.run_id)}` +
  (task.task_id ? `/tasks/${path(task.task_id)}${mapped && task.map_index >= 0 ? `/mapped/${task.map_index}` : ""}` : "");
/** Return the address of a run in Airflow. */
export const runPage = (task) => page({ ...task, task_id: "" });
/** Return the address of a DAG in Airflow. */
export const dagPage = (task) => `${AIRFLOW}dags/${path(task.dag_id)}`;
/** Return the address of a task instance's log in Airflow. */
export const logPage = (task) => page(task, true);

/** Return the DAGs that claim what is sent to a connection's inbox. */
export const inbox = (conn_id) => get(`${HERE}api/inbox${query({ conn_id })}`);

/** Send a claim file: to be checked, or to be put into the inbox, too. */
export const send = (dagId, conn_id, file, store) =>
  post(`${HERE}api/dags/${path(dagId)}/inbox${query({ conn_id, name: file.name, store })}`, { "Content-Type": "application/octet-stream", "X-Nrfprov-Upload": "1" }, file);
