"""Says hello, and on which machine."""

import platform

from fastapi import FastAPI

app = FastAPI()


@app.get("/hello/{name}")
def hello(name: str) -> dict[str, str]:
    return {"hello": name, "machine": platform.machine(), "python": platform.python_version()}
