//! The table itself: every key of the policy language.

use super::{Field, Shape};
use Shape::{
    Count, Flag, Indexes, Later, List, Map, Number, Object, Size, SizeOrNone, Text, TextOr, Time, Version,
    Word,
};

const TEXTS: Shape = List(&Text);
const AT_ONCE: &str =
    "Applies at once to new connections; live ones are judged again and cut if no longer allowed.";
const NEXT: &str = "Applies to the next request, on live connections too.";
const MESSAGES: &str = "Applies to the next message, on live connections too.";
const FILES: &str = "Applies at once: what is added appears, what is taken away disappears from the running sandbox; \
files that are open stay open until their holders are ended.";
const WORK: &str =
    "As files; but to `review` and from it when the sandbox starts next: a live change is refused.";
const RESTART: &str = "Applies when the sandbox starts next.";
const AT_ONCE_READ: &str = "Read anew at every change; what has another shape than before is refused.";
const CALLS: &str = "Applies to the next model call; calls under way end as they began.";
const EXECS: &str = "Applies at once to what is executed from then on; what runs already is not ended.";
const LIMIT: &str = "Applies at once; raising is never felt, lowering binds what is asked for from then on.";

/// A field that may be left out.
const fn field(name: &'static str, shape: Shape, about: &'static str, live: &'static str) -> Field {
    Field { name, shape, required: false, about, live }
}

const fn required(name: &'static str, shape: Shape, about: &'static str, live: &'static str) -> Field {
    Field { name, shape, required: true, about, live }
}

const fn later(name: &'static str) -> Field {
    field(name, Later, "Not available in this version: a policy that has it is refused.", RESTART)
}

/// A whole document.
pub(crate) const DOCUMENT: Shape = Object(&[
    required("version", Version, "The version of the language: 1.", "Changes nothing by itself."),
    field(
        "name",
        Text,
        "The policy's name: 1 to 63 of a-z 0-9 - _ . beginning with a letter or digit.",
        RESTART,
    ),
    field(
        "mode",
        Word { now: &["enforce", "observe"], later: &[] },
        "enforce (default) carries refusals out; observe records and overlooks them, except refused addresses.",
        AT_ONCE,
    ),
    field(
        "include",
        TEXTS,
        "Documents that count as earlier than this one: preset:NAME, or a file from this document's directory.",
        "Read once, when the policy is compiled.",
    ),
    field(
        "isolation",
        Object(ISOLATION),
        "By which means of the kernel the sandbox is held. Absent: namespaces.",
        RESTART,
    ),
    field("filesystem", Object(FILESYSTEM), "Which files exist. What is not granted does not exist.", FILES),
    field("process", Object(PROCESS), "What processes may use and execute.", LIMIT),
    field(
        "devices",
        Object(DEVICES),
        "Devices beside the harmless ones. What is not named is not there.",
        RESTART,
    ),
    field(
        "credentials",
        List(&Object(CREDENTIAL)),
        "Secrets that are used for the agent, which holds a worthless placeholder of each.",
        "Read anew at every change; one that the sandbox did not start with is refused.",
    ),
    field("network", Object(NETWORK), "Where programs may connect. What no rule admits is refused.", AT_ONCE),
    field(
        "inference",
        Object(INFERENCE),
        "Which models answer, at `inference.local` and at captured hosts.",
        CALLS,
    ),
]);

const ISOLATION: &[Field] = &[
    field(
        "tier",
        Word { now: &["namespaces", "confined"], later: &["microvm"] },
        "namespaces (default); confined: Landlock and seccomp alone, where user namespaces are forbidden; weaker, as `accept` says.",
        RESTART,
    ),
    field(
        "accept",
        TEXTS,
        "What is weaker in `confined`, each by its name: seen-files, seen-processes, seen-network, host-system, \
few-sockets, loose-limits. All of them, or the policy is refused.",
        RESTART,
    ),
];

const FILESYSTEM: &[Field] = &[
    field(
        "workspace",
        Object(WORKSPACE),
        "The directory that the sandbox works in; writable when nothing is said.",
        RESTART,
    ),
    field("read", List(&TextOr(PLACE)), "Paths to read and execute, with all beneath them.", FILES),
    field("write", List(&TextOr(PLACE)), "Paths to read, write and execute, with all beneath them.", FILES),
    field(
        "hide",
        TEXTS,
        "Paths and patterns that are as if absent, also when they appear later. The most specific path wins; a path beats a pattern.",
        FILES,
    ),
    field(
        "home",
        Word { now: &["scratch", "keep"], later: &[] },
        "scratch (default): the home directory is empty and ends with the sandbox; keep: kept under the policy's name.",
        RESTART,
    ),
];

const WORKSPACE: &[Field] = &[
    field("path", Text, "The directory; `.` (default) is the one that the sandbox is started for.", RESTART),
    field(
        "access",
        Word { now: &["write", "review", "read", "none"], later: &[] },
        "write (default); review: written to a view of its own, and nothing lands until a person applies it; read; none.",
        WORK,
    ),
];

const PLACE: &[Field] = &[
    required("path", Text, "The path: absolute, from `~/`, or from `./` (the workspace).", FILES),
    field(
        "optional",
        Flag,
        "true: the sandbox starts although the path does not exist; when it appears, it is granted.",
        FILES,
    ),
];

const PROCESS: &[Field] = &[
    field("limits", Object(LIMITS), "Resource limits of the whole sandbox.", LIMIT),
    field(
        "nested",
        Flag,
        "true: programs may make sandboxes inside (bubblewrap, browsers): namespaces, and mounts in them. Not beside `exec` or `from`.",
        RESTART,
    ),
    field(
        "exec",
        Object(EXEC),
        "Which programs may be executed. Absent: every program that can be seen.",
        EXECS,
    ),
];

const EXEC: &[Field] = &[
    field(
        "allow",
        List(&TextOr(RUN)),
        "Only these may be executed. PROGRAM by path, path pattern or sha256:HEX; then, after blanks, its arguments: \
`*` is any run of characters within one, `**` any number of them; no arguments said: any.",
        EXECS,
    ),
    field("deny", List(&TextOr(RUN)), "These may not be executed, whatever `allow` says.", EXECS),
];

const RUN: &[Field] = &[
    required("run", Text, "PROGRAM and its arguments, as in a plain entry.", EXECS),
    field(
        "from",
        TEXTS,
        "Executed by which programs: path or path pattern, sha256:HEX, tree:PROGRAM (it and its children). Absent: any.",
        EXECS,
    ),
];

const DEVICES: &[Field] = &[field(
    "gpu",
    Indexes,
    "NVIDIA GPUs by their numbers; none (default), all, or a list. One that is asked for and not there is an error.",
    RESTART,
)];

const LIMITS: &[Field] = &[
    field("processes", Count, "Processes and threads in the sandbox.", LIMIT),
    field("memory", Size, "Memory of the whole sandbox.", LIMIT),
    field("swap", SizeOrNone, "Swap of the whole sandbox, beside its memory; 0: none.", LIMIT),
    field("cpus", Number, "CPUs' worth of time, as in 1.5.", LIMIT),
    field("open_files", Count, "Open descriptors of each process.", LIMIT),
    field("file_size", Size, "Largest file that can be written.", LIMIT),
    field(
        "disk",
        Size,
        "What each private directory of the sandbox may hold: `/tmp`, the throw-away home, `/dev/shm`.",
        RESTART,
    ),
    field("time", Time, "Wall time, after which the sandbox is ended.", LIMIT),
];

const NETWORK: &[Field] = &[
    field(
        "default",
        Word { now: &["deny"], later: &["ask"] },
        "What becomes of a connection that no rule admits: deny.",
        AT_ONCE,
    ),
    field("deny", TEXTS, "Targets that are refused whatever the rules say.", AT_ONCE),
    field("rules", List(&Object(RULE)), "Rules; their order never matters.", AT_ONCE),
];

const RULE: &[Field] = &[
    required(
        "name",
        Text,
        "The rule's name, once in the whole policy; refusals and records use it.",
        AT_ONCE,
    ),
    required(
        "to",
        TEXTS,
        "Where: HOST, *.HOST, **.HOST, address or CIDR; then :PORT or :*, 443 when absent. HTTP on 80 is HOST:80.",
        AT_ONCE,
    ),
    field(
        "from",
        TEXTS,
        "For which programs: path or path pattern, sha256:HEX, tree:PROGRAM (it and its children). Absent: any.",
        AT_ONCE,
    ),
    field("http", Object(HTTP), "Opens TLS and decides every request.", AT_ONCE),
    field("raw", Flag, "true: any bytes, neither TLS nor HTTP.", AT_ONCE),
    field(
        "addresses",
        TEXTS,
        "Addresses and CIDR blocks that the names may lead to although they are not public.",
        AT_ONCE,
    ),
    field(
        "credential",
        Text,
        "The credential that is put into the requests that this rule allows, where the agent wrote its placeholder. Opens TLS.",
        "Applies to the next request, on live connections too.",
    ),
    field("mcp", Object(MCP), "Opens TLS and decides every message of MCP (Streamable HTTP).", AT_ONCE),
    field("jsonrpc", Object(JSONRPC), "Opens TLS and decides every JSON-RPC 2.0 call (HTTP POST).", AT_ONCE),
    field("websocket", Object(WEBSOCKET), "Opens TLS and decides every text over a WebSocket.", AT_ONCE),
    field(
        "graphql",
        Object(GRAPHQL),
        "Opens TLS and decides every operation of GraphQL (HTTP POST).",
        AT_ONCE,
    ),
    field("git", Object(GIT), "Opens TLS and decides every fetch and push of git (smart HTTP).", AT_ONCE),
];

const GRAPHQL: &[Field] = &[
    field(
        "allow",
        List(&TextOr(FIELD)),
        "Root fields: TYPE FIELD, as in `query viewer`, `mutation create*`, `* node`. Absent: the rule only denies.",
        NEXT,
    ),
    field("deny", List(&TextOr(FIELD)), "Root fields that are refused, whatever any rule allows.", NEXT),
];

const FIELD: &[Field] = &[
    required("run", Text, "TYPE FIELD, as in a plain entry.", NEXT),
    field("name", TEXTS, "Names of operations. Absent: any, also none. The program chooses them.", NEXT),
];

const GIT: &[Field] = &[
    field(
        "fetch",
        TEXTS,
        "Repositories that may be cloned and fetched, as in `owner/name`, `owner/*`.",
        NEXT,
    ),
    field(
        "push",
        List(&TextOr(PUSH)),
        "Repositories that may be pushed to. Does not let them be fetched.",
        NEXT,
    ),
];

const PUSH: &[Field] = &[
    required("repository", Text, "The repository, as in a plain entry.", NEXT),
    field("refs", TEXTS, "References that may be changed, as in `refs/heads/agent/*`. Absent: any.", NEXT),
];

const WEBSOCKET: &[Field] = &[
    field(
        "allow",
        TEXTS,
        "Texts that programs may send, by pattern (`*` is any run of characters). Absent: the rule only denies.",
        MESSAGES,
    ),
    field("deny", TEXTS, "Texts that programs may not send, whatever any rule allows.", MESSAGES),
];

const MCP: &[Field] = &[
    field(
        "call",
        List(&TextOr(TOOL)),
        "Tools that may be called, by name or pattern. Lists of tools are filtered by it.",
        NEXT,
    ),
    field("deny", List(&TextOr(TOOL)), "Tools that may not be called, whatever any rule allows.", NEXT),
    field(
        "methods",
        TEXTS,
        "Methods beside those of every session, as in `resources/*`, `prompts/get`.",
        NEXT,
    ),
    field("server", TEXTS, "What the server may ask of the client, as in `elicitation/create`.", NEXT),
];

const TOOL: &[Field] = &[
    required("tool", Text, "The tool's name, or a pattern.", NEXT),
    field(
        "arguments",
        ARGUMENTS,
        "For each argument named: patterns, one of which its value must match.",
        NEXT,
    ),
];

const JSONRPC: &[Field] = &[
    field("allow", List(&TextOr(METHOD)), "Methods that may be called. Absent: the rule only denies.", NEXT),
    field("deny", List(&TextOr(METHOD)), "Methods that may not be called, whatever any rule allows.", NEXT),
];

const METHOD: &[Field] = &[
    required("method", Text, "The method, or a pattern.", NEXT),
    field(
        "params",
        ARGUMENTS,
        "For each parameter named (of a list: by its place, from 0): patterns, one of which its value must match.",
        NEXT,
    ),
];

const ARGUMENTS: Shape = Map("argument names", &TEXTS);

const HTTP: &[Field] = &[
    field("allow", TEXTS, "Requests, as in `GET /repos/**` or `* /x`. Absent: the rule only denies.", NEXT),
    field(
        "deny",
        TEXTS,
        "Requests that are refused whatever any rule allows, for this rule's targets and programs.",
        NEXT,
    ),
];

const CREDENTIAL: &[Field] = &[
    required("name", Text, "The credential's name, once in the whole policy; rules use it.", RESTART),
    required(
        "secret",
        Text,
        "Where the secret is: env:VAR or file:PATH. Never the secret itself.",
        AT_ONCE_READ,
    ),
    field(
        "env",
        Text,
        "The variable that holds the placeholder inside; absent: the VAR of env:VAR.",
        RESTART,
    ),
];

const INFERENCE: &[Field] = &[
    field("backends", List(&Object(BACKEND)), "Where models are served.", CALLS),
    field(
        "models",
        Map("model names", &TEXTS),
        "For each model name (`default`, or a pattern over what is asked for): BACKEND/MODEL in failover order; \
BACKEND/* asks for the model that the caller named.",
        CALLS,
    ),
    field(
        "capture",
        TEXTS,
        "Hosts whose connections end at the model router, whether or not the agent cooperates.",
        AT_ONCE,
    ),
    later("budget"),
    later("privacy"),
];

const BACKEND: &[Field] = &[
    required("name", Text, "The backend's name, once in the whole policy.", CALLS),
    required("base_url", Text, "An http or https URL.", CALLS),
    field(
        "key",
        Text,
        "Where the key is: env:VAR, file:PATH, or none (default). Never the key itself.",
        CALLS,
    ),
    field(
        "api",
        Word { now: &["openai", "anthropic", "auto"], later: &[] },
        "What the backend speaks; auto (default): whatever the call came in.",
        CALLS,
    ),
];
