// A service that shortens addresses and keeps them in memory.
import express from "express";
import { nanoid } from "nanoid";

const links = new Map();
const app = express();
app.use(express.json());

app.get("/health", (request, response) => response.json({ links: links.size }));

app.post("/", (request, response) => {
  if (!URL.canParse(request.body?.url)) {
    return response.status(400).json({ error: "expected {\"url\": …}" });
  }
  const id = nanoid(8);
  links.set(id, request.body.url);
  response.status(201).json({ id });
});

app.get("/:id", (request, response) => {
  const url = links.get(request.params.id);
  return url ? response.redirect(url) : response.sendStatus(404);
});

app.listen(process.env.PORT ?? 8080);
