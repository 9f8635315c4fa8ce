"""The LiteLLM proxy; several hundred MB to install, so only when asked for."""
import os
import secrets

from .mitmproxy import installed
from .squid import free_port, started

NAME = "LiteLLM"
CONFIGURATION = """model_list:
  - {{ model_name: "*", litellm_params: {{ model: "openai/*", api_base: "http://127.0.0.1:{port}/v1", api_key: none }} }}
litellm_settings: {{ telemetry: false }}
"""


def serve(bench, stack):
    """Starts the proxy with one worker for each core; gives its address and the key that callers need, or None."""
    if not bench.all:
        bench.skip("models: LiteLLM", "several hundred MB to install: only with --all")
        return None
    program = installed(bench, "litellm[proxy]", "litellm")
    if not program:
        return None
    file, port = bench.dir / "litellm.yaml", free_port()
    file.write_text(CONFIGURATION.format(port=bench.ports["http"]))
    words = [program, "--config", file, "--host", "127.0.0.1", "--port", str(port), "--num_workers", str(os.cpu_count())]
    # Its list of prices comes from the network unless told otherwise; without a key of its own it does not start.
    key = f"sk-{secrets.token_hex(32)}"
    more = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": key}
    found = started(bench, stack, words, port, None, "litellm", within=120, more=more)
    return (found[0], key) if found else None
