// Asks the server on behalf of whoever followed the link.

const api = new URL(document.currentScript.src).origin;
const parameter = "samplit_edit";
const token = new URLSearchParams(location.search).get(parameter) ?? "";

// The token is of no use to whatever else on the page reads the address.
const forgetToken = () => {
  const url = new URL(location.href);
  url.searchParams.delete(parameter);
  history.replaceState(history.state, "", url);
};

// Until when the link is good, in milliseconds; a page of another origin does not learn from the server
// why it refuses.
const endOf = (token) => {
  try {
    const [text] = token.split(".");
    return JSON.parse(atob(text.replace(/-/g, "+").replace(/_/g, "/"))).x * 1000;
  } catch {
    return 0;
  }
};

const refusal = () =>
  endOf(token) <= Date.now()
    ? "This link has expired. Make a new one."
    : `${new URL(api).host} does not let this page in. Is it of the site that the link was made for?`;

const ask = async (method, path, body) => {
  let reply;
  try {
    reply = await fetch(`${api}/v1/editor${path}`, {
      method,
      credentials: "omit",
      headers: { Authorization: `Bearer edit.${token}`, ...(body && { "Content-Type": "application/json" }) },
      body: body && JSON.stringify(body),
    });
  } catch {
    throw new Error(refusal());
  }
  const answer = await reply.json().catch(() => ({}));
  if (reply.ok) return answer;
  if (answer.code === "not_a_draft") throw new Error("The experiment was started. Its variants cannot change any more.");
  if (answer.code === "token_expired") throw new Error(refusal());
  if (answer.code === "version_mismatch") throw new Error("Somebody changed the experiment meanwhile. Save again.");
  const [first] = answer.errors ?? [];
  throw new Error(first ? `${first.pointer.slice(1).replace(/\//g, ", ")}: ${first.detail}` : (answer.detail ?? `Error ${reply.status}`));
};
