// With the types of openapi-typescript and openapi-fetch: make a video, wait for it, list it, download it.
import { writeFile } from "node:fs/promises";
import { setTimeout as wait } from "node:timers/promises";
import createClient from "openapi-fetch";
import type { paths } from "./api";

const [url, token, file] = process.argv.slice(2) as [string, string, string];
const client = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${token}` } });

// Only the prompt is required: this compiles only if no other field is demanded.
const { data: made, error } = await client.POST("/v1/videos", { body: { prompt: "a paper boat in the rain" } });
if (!made) throw new Error(error.error.code);
let video = made;
while (video.status !== "completed") {
  if (video.status === "failed" || video.status === "canceled") throw new Error(JSON.stringify(video.error));
  await wait(200);
  const { data } = await client.GET("/v1/videos/{id}", { params: { path: { id: made.id } } });
  if (!data) throw new Error("the video is gone");
  video = data;
}
const { data: page } = await client.GET("/v1/videos", { params: { query: { limit: 1 } } });
if (page?.data[0]?.id !== video.id) throw new Error("the list doesn't begin with the video");
const { data: film } = await client.GET("/v1/videos/{id}/content", {
  params: { path: { id: video.id }, query: { redirect: "false" } },
  parseAs: "arrayBuffer",
});
await writeFile(file, new Uint8Array(film as ArrayBuffer));
