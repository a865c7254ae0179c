// The official openai package for Node, unmodified: only its baseURL and its key are ours.
// node acceptance.mjs BASE_URL KEY PICTURE; exits with 1 at the first promise that is broken.

import assert from "node:assert/strict";
import fs from "node:fs";
import OpenAI from "openai";

const [baseURL, apiKey, picture] = process.argv.slice(2);
const SMALL = { model: "omni-flash", seconds: "3", size: "640x360" };

/** Calls that went out, and answers that are taken away from the client. */
const calls = [];
const losses = [];
async function wire(url, options) {
  calls.push({ url: String(url), method: options.method, headers: new Headers(options.headers) });
  const response = await fetch(url, options);
  const loss = losses.shift();
  if (loss === "cut") throw new TypeError("fetch failed");
  if (loss) return new Response("{}", { status: loss });
  return response;
}

const client = new OpenAI({ baseURL, apiKey, fetch: wire });

async function finished(id) {
  for (;;) {
    const video = await client.videos.retrieve(id);
    if (!["queued", "in_progress"].includes(video.status)) return video;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

async function rejected(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  assert.fail("it was accepted");
}

const promises = {
  async "create with an image, retrieve, download, delete"() {
    const created = await client.videos.create({
      prompt: "a paper boat",
      input_reference: fs.createReadStream(picture),
      labels: { team: "blue" },
      ...SMALL,
    });
    assert.equal(created.status, "queued");
    assert.equal(created.seconds, "3");
    assert.deepEqual(created.labels, { team: "blue" });
    assert.equal(created.inputs[0].role, "first_frame");
    const video = await finished(created.id);
    assert.equal(video.status, "completed", JSON.stringify(video.error));
    assert.equal(video.progress, 100);
    const content = Buffer.from(await (await client.videos.downloadContent(video.id)).arrayBuffer());
    assert.equal(content.subarray(4, 8).toString(), "ftyp");
    const thumbnail = await client.videos.downloadContent(video.id, { variant: "thumbnail" });
    assert.equal(Buffer.from(await thumbnail.arrayBuffer()).readUInt16BE(0), 0xffd8);
    assert.equal((await client.videos.delete(video.id)).deleted, true);
    const gone = await rejected(client.videos.retrieve(video.id));
    assert.ok(gone instanceof OpenAI.NotFoundError);
    assert.equal(gone.code, "NOT_FOUND");
  },

  async "create in JSON"() {
    const created = await client.post("/videos", { body: { prompt: "a kite", ...SMALL } });
    assert.equal((await finished(created.id)).status, "completed");
  },

  async "list turns its own pages"() {
    const before = (await client.videos.list()).data.length;
    const made = [];
    for (const number of [1, 2]) {
      made.unshift((await client.videos.create({ prompt: `number ${number}`, ...SMALL })).id);
    }
    const listed = [];
    for await (const video of client.videos.list({ limit: 1 })) listed.push(video.id);
    assert.deepEqual(listed.slice(0, 2), made);
    assert.equal(listed.length, before + 2);
    for (const id of made) await finished(id);
  },

  async "models"() {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    assert.ok(ids.includes("veo-3.1-fast"));
    assert.equal((await client.models.retrieve("sora-2")).id, "veo-3.1-fast");
  },

  async "errors are the package's own"() {
    const refused = await rejected(client.videos.create({ prompt: "x", model: "veo-3.1", seconds: "5" }));
    assert.ok(refused instanceof OpenAI.BadRequestError);
    assert.equal(refused.code, "UNSUPPORTED_BY_MODEL");
    assert.match(refused.message, /Use 4, 6 or 8/);
    const stranger = new OpenAI({ baseURL, apiKey: "nobody" });
    assert.ok((await rejected(stranger.videos.list())) instanceof OpenAI.AuthenticationError);
    const sent = calls.length;
    const poor = await rejected(client.videos.create({ prompt: "x", model: "veo-3.1", seconds: "8", count: 4 }));
    assert.ok(poor instanceof OpenAI.APIError);
    assert.equal(poor.status, 402);
    assert.equal(poor.code, "INSUFFICIENT_CREDITS");
    assert.equal(calls.length, sent + 1);
  },

  async "its own retries never make a second video"() {
    for (const loss of ["cut", 500]) {
      losses.push(loss, loss);
      const sent = calls.length;
      const prompt = `only once, after ${loss}`;
      const created = await client.videos.create({ prompt, ...SMALL });
      const counts = calls.slice(sent).map((call) => call.headers.get("x-stainless-retry-count"));
      assert.deepEqual(counts, ["0", "1", "2"]);
      const same = [];
      for await (const video of client.videos.list()) if (video.prompt === prompt) same.push(video.id);
      assert.deepEqual(same, [created.id]);
      await finished(created.id);
    }
  },
};

for (const [name, promise] of Object.entries(promises)) {
  await promise();
  console.log(`kept: ${name}`);
}
