// With the client of hey-api: make a video, wait for it, list it, download it.
import { writeFile } from "node:fs/promises";
import { setTimeout as wait } from "node:timers/promises";
import { client } from "./hey/client.gen";
import { createVideo, getVideo, listVideos, videoContent } from "./hey/sdk.gen";

const [url, token, file] = process.argv.slice(2) as [string, string, string];
client.setConfig({ baseUrl: url, auth: token, throwOnError: true });

let { data: video } = await createVideo({ body: { prompt: "a paper boat in the rain" }, throwOnError: true });
const { id } = video;
while (video.status !== "completed") {
  if (video.status === "failed" || video.status === "canceled") throw new Error(JSON.stringify(video.error));
  await wait(200);
  ({ data: video } = await getVideo({ path: { id }, throwOnError: true }));
}
const { data: page } = await listVideos({ query: { limit: 1 }, throwOnError: true });
if (page.data[0]?.id !== id) throw new Error("the list doesn't begin with the video");
const { data: film } = await videoContent({
  path: { id }, query: { redirect: "false" }, parseAs: "arrayBuffer", throwOnError: true,
});
await writeFile(file, new Uint8Array(film as unknown as ArrayBuffer));
