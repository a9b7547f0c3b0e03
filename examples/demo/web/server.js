// Says hello, and on which machine.
import os from "node:os";
import express from "express";

const app = express();

app.get("/hello/:name", (request, response) => {
  response.json({ hello: request.params.name, machine: os.machine(), node: process.versions.node });
});

app.listen(process.env.PORT ?? 8000, "127.0.0.1");
