#!/usr/bin/env python3
"""An EC2 that has forgotten everything but what a build asks next: as fast as Python answers. Prints its port; on SIGTERM
a line of JSON: requests, the most in one second, and how many of each action."""
import asyncio
import collections
import json
import signal
import sys
import time
import urllib.parse

actions = collections.Counter()
per_second = collections.Counter()
states = {}
BOOT = float(sys.argv[1]) if len(sys.argv) > 1 else 0


def ids_asked(q, prefix):
    return [v for k, v in q.items() if k.startswith(prefix) or k.startswith("Filter.1.Value")]


def instance(identity):
    state, since = states.get(identity, ("terminated", 0))
    if state == "pending" and time.monotonic() - since >= BOOT:
        state = "running"
    return (f"<item><instancesSet><item><instanceId>{identity}</instanceId><instanceState><name>{state}</name></instanceState>"
            f"<ipAddress>127.0.0.1</ipAddress></item></instancesSet></item>")


def answer(q):
    action = q["Action"]
    actions[action] += 1
    per_second[int(time.monotonic())] += 1
    number = actions.total()
    if action == "DescribeRegions":
        return "<regionInfo><item><regionName>us-east-1</regionName></item></regionInfo>"
    if action == "DescribeImages":
        found = [v for v in ids_asked(q, "ImageId") if v.startswith("ami-")]
        return "<imagesSet>" + "".join(f"<item><imageId>{v}</imageId><imageState>available</imageState><rootDeviceType>ebs</rootDeviceType>"
                                       "</item>" for v in found) + "</imagesSet>"
    if action == "CreateKeyPair":
        return "<keyMaterial>none</keyMaterial>"
    if action == "CreateSecurityGroup":
        return f"<groupId>sg-{number}</groupId>"
    if action == "DescribeSecurityGroups":
        return "<securityGroupInfo><item><groupId>sg-1</groupId></item></securityGroupInfo>"
    if action == "RunInstances":
        states[f"i-{number}"] = ("pending", time.monotonic())
        return f"<instancesSet><item><instanceId>i-{number}</instanceId></item></instancesSet>"
    if action in ("StopInstances", "TerminateInstances"):
        states[q["InstanceId.1"]] = ("stopped" if action == "StopInstances" else "terminated", 0)
        return ""
    if action == "DescribeInstances":
        return "<reservationSet>" + "".join(instance(v) for v in ids_asked(q, "InstanceId")) + "</reservationSet>"
    if action == "CreateImage":
        return f"<imageId>ami-{number}</imageId>"
    return ""


async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next((int(l.split(b":")[1]) for l in head.lower().split(b"\r\n") if l.startswith(b"content-length:")), 0)
            body = (await reader.readexactly(length)).decode()
            text = "<R>" + answer(dict(urllib.parse.parse_qsl(body, keep_blank_values=True))) + "</R>"
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    print(json.dumps({"requests": actions.total(), "most in a second": max(per_second.values(), default=0), "actions": actions}), flush=True)


asyncio.run(main())
