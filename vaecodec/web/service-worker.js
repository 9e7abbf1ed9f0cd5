/**
 * A service worker that answers requests for `.vaec` pictures with PNG: in <img>, CSS, posters, anywhere.
 *
 *     navigator.serviceWorker.register("/service-worker.js", { type: "module" })
 *
 * It sees the pages below its own address. To have it elsewhere than the decoder, put a file there with the one line
 * `import "./vaec/service-worker.js";`. Requests by fetch() get the file itself.
 */
import { decode, setup, toPNG } from "./vaec.js";

self.addEventListener("install", (event) => {
  self.skipWaiting();
  event.waitUntil(setup()); // so that no picture waits for the model
});

self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.destination !== "image" || request.method !== "GET") return;
  if (/\.vaec$/i.test(new URL(request.url).pathname)) event.respondWith(answer(request));
});

/** A PNG; of a file that cannot be decoded an error, as of one that cannot be fetched. */
async function answer(request) {
  const { url, referrer, referrerPolicy, cache, signal } = request;
  // Not the request itself: that of an <img> from elsewhere gives no bytes to scripts.
  const credentials = request.credentials === "include" && request.mode === "cors" ? "include" : "same-origin";
  const headers = { Accept: "image/vaec, */*;q=0.1" };
  try {
    const response = await fetch(url, { credentials, headers, referrer, referrerPolicy, cache, signal });
    const type = response.headers.get("content-type") ?? "";
    if (!response.ok || (type.startsWith("image/") && !type.startsWith("image/vaec"))) return response;
    const png = toPNG(await decode(response, { signal, workers: 0 })); // a service worker has none
    return new Response(png, { headers: { "Content-Type": "image/png" } });
  } catch (error) {
    console.warn(`${url}: ${error.message}`);
    return Response.error();
  }
}
