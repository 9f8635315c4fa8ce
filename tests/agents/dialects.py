"""Three model APIs, as far as an agent needs them: OpenAI Responses, OpenAI Chat Completions, Anthropic Messages.

A dialect reads two things from a request (how many tool results it carries, and which tools it offers) and writes one
answer, whole or as a stream of events: either a call of the shell tool or a text.
"""

import json
import uuid

#: What every answer claims to have used; the record must say the same.
INPUT_TOKENS, OUTPUT_TOKENS = 100, 20

#: Names under which agents offer a shell, and the parameters that hold the command.
SHELLS = ("bash", "exec_command", "shell_command", "shell", "local_shell", "exec", "run_shell_command", "terminal")
COMMANDS = ("command", "cmd", "script")


def fresh(prefix):
    return prefix + uuid.uuid4().hex[:20]


def pieces(text, size=24):
    """A text in the pieces in which it is streamed."""
    return [text[at : at + size] for at in range(0, len(text), size)] or [""]


def shell(tools):
    """The shell among `tools` ({name: schema}), or None."""
    lower = {name.lower(): name for name in tools}
    return next((lower[name] for name in SHELLS if name in lower), None)


def arguments(schema, command):
    """Arguments that make a shell tool with this schema run `command`."""
    properties = (schema or {}).get("properties") or {}
    key = next((name for name in COMMANDS if name in properties), "command")
    as_list = (properties.get(key) or {}).get("type") == "array"
    made = {key: ["bash", "-lc", command] if as_list else command}
    for name in (schema or {}).get("required") or []:
        if name not in made:
            kind = (properties.get(name) or {}).get("type")
            made[name] = {"number": 60, "integer": 60, "boolean": False, "array": [], "object": {}}.get(kind, "a step")
    return made


class Chat:
    """OpenAI Chat Completions."""

    path = "/chat/completions"

    @staticmethod
    def tools(body):
        offered = [tool.get("function") or {} for tool in body.get("tools") or []]
        return {tool["name"]: tool.get("parameters") for tool in offered if "name" in tool}

    @staticmethod
    def results(body):
        return sum(message.get("role") == "tool" for message in body.get("messages") or [])

    @staticmethod
    def usage():
        total = INPUT_TOKENS + OUTPUT_TOKENS
        return {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS, "total_tokens": total}

    def answer(self, body, call, text):
        message = {"role": "assistant", "content": text}
        if call:
            message["tool_calls"] = [self.called(call)]
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if call else "stop"}
        return {**self.head(body, "chat.completion"), "choices": [choice], "usage": self.usage()}

    def stream(self, body, call, text):
        head = self.head(body, "chat.completion.chunk")

        def chunk(delta, finish=None):
            return None, {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

        yield chunk({"role": "assistant", "content": ""})
        if call:
            first = self.called({**call, "arguments": ""})
            yield chunk({"tool_calls": [{"index": 0, **first}]})
            for piece in pieces(json.dumps(call["arguments"])):
                yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
        else:
            for piece in pieces(text):
                yield chunk({"content": piece})
        yield chunk({}, "tool_calls" if call else "stop")
        if (body.get("stream_options") or {}).get("include_usage"):
            yield None, {**head, "choices": [], "usage": self.usage()}
        yield None, "[DONE]"

    @staticmethod
    def head(body, kind):
        return {"id": fresh("chatcmpl-"), "object": kind, "created": 1767225600, "model": body.get("model")}

    @staticmethod
    def called(call):
        text = call["arguments"] if call["arguments"] == "" else json.dumps(call["arguments"])
        return {"id": fresh("call_"), "type": "function", "function": {"name": call["name"], "arguments": text}}


class Responses:
    """OpenAI Responses."""

    path = "/responses"

    @staticmethod
    def tools(body):
        offered = {}
        for tool in body.get("tools") or []:
            for each in tool.get("tools") or [tool]:
                offered[each.get("name") or each.get("type")] = each.get("parameters")
        return offered

    @staticmethod
    def results(body):
        items = body.get("input")
        items = items if isinstance(items, list) else []
        return sum(str(item.get("type", "")).endswith("_output") for item in items)

    @staticmethod
    def usage():
        return {
            "input_tokens": INPUT_TOKENS,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": OUTPUT_TOKENS,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        }

    @staticmethod
    def item(call, text):
        if not call:
            part = {"type": "output_text", "text": text, "annotations": []}
            return {
                "type": "message",
                "id": fresh("msg_"),
                "role": "assistant",
                "status": "completed",
                "content": [part],
            }
        item = {"id": fresh("fc_"), "call_id": fresh("call_"), "status": "completed"}
        if call["name"] == "local_shell":
            action = {"type": "exec", "command": ["bash", "-lc", call["command"]], "env": {}}
            return {**item, "type": "local_shell_call", "action": action}
        return {**item, "type": "function_call", "name": call["name"], "arguments": json.dumps(call["arguments"])}

    def response(self, body, identity, output, status):
        used = self.usage() if status == "completed" else None
        made = {"id": identity, "object": "response", "created_at": 1767225600, "status": status}
        return {**made, "model": body.get("model"), "output": output, "usage": used, "error": None, "tools": []}

    def answer(self, body, call, text):
        return self.response(body, fresh("resp_"), [self.item(call, text)], "completed")

    def stream(self, body, call, text):
        identity, item = fresh("resp_"), self.item(call, text)
        count = iter(range(1 << 20))

        def event(kind, **members):
            return kind, {"type": kind, "sequence_number": next(count), **members}

        yield event("response.created", response=self.response(body, identity, [], "in_progress"))
        begun = {**item, "status": "in_progress"}
        begun.update({"content": []} if not call else {"arguments": ""} if item["type"] == "function_call" else {})
        yield event("response.output_item.added", output_index=0, item=begun)
        place = {"item_id": item["id"], "output_index": 0}
        if not call:
            for piece in pieces(text):
                yield event("response.output_text.delta", **place, content_index=0, delta=piece)
            yield event("response.output_text.done", **place, content_index=0, text=text)
        elif item["type"] == "function_call":
            for piece in pieces(item["arguments"]):
                yield event("response.function_call_arguments.delta", **place, delta=piece)
            yield event("response.function_call_arguments.done", **place, arguments=item["arguments"])
        yield event("response.output_item.done", output_index=0, item=item)
        yield event("response.completed", response=self.response(body, identity, [item], "completed"))


class Messages:
    """Anthropic Messages."""

    path = "/messages"

    @staticmethod
    def tools(body):
        return {tool["name"]: tool.get("input_schema") for tool in body.get("tools") or [] if "name" in tool}

    @staticmethod
    def results(body):
        contents = [message.get("content") for message in body.get("messages") or []]
        blocks = [block for content in contents if isinstance(content, list) for block in content]
        return sum(block.get("type") == "tool_result" for block in blocks)

    @staticmethod
    def usage():
        cached = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
        return {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS, **cached}

    @staticmethod
    def block(call, text):
        if call:
            return {"type": "tool_use", "id": fresh("toolu_"), "name": call["name"], "input": call["arguments"]}
        return {"type": "text", "text": text}

    def message(self, body, content, stop):
        made = {"id": fresh("msg_"), "type": "message", "role": "assistant", "model": body.get("model")}
        return {**made, "content": content, "stop_reason": stop, "stop_sequence": None, "usage": self.usage()}

    def answer(self, body, call, text):
        return self.message(body, [self.block(call, text)], "tool_use" if call else "end_turn")

    def stream(self, body, call, text):
        def event(kind, **members):
            return kind, {"type": kind, **members}

        block = self.block(call, text)
        empty = {**block, "input": {}} if call else {**block, "text": ""}
        begun = self.message(body, [], None)
        begun["usage"] = {**self.usage(), "output_tokens": 1}
        yield event("message_start", message=begun)
        yield event("content_block_start", index=0, content_block=empty)
        for piece in pieces(json.dumps(call["arguments"]) if call else text):
            delta = (
                {"type": "input_json_delta", "partial_json": piece} if call else {"type": "text_delta", "text": piece}
            )
            yield event("content_block_delta", index=0, delta=delta)
        yield event("content_block_stop", index=0)
        stop = {"stop_reason": "tool_use" if call else "end_turn", "stop_sequence": None}
        yield event("message_delta", delta=stop, usage={"output_tokens": OUTPUT_TOKENS})
        yield event("message_stop")


DIALECTS = (Chat(), Responses(), Messages())
