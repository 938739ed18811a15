"""An inference server that loads nothing: it answers at once, or a load after so many milliseconds, and is as cheap as Python
allows. Its files are not looked at.

usage: instant_server.py PORT LOAD_MS"""

import asyncio
import json
import sys

import uvloop


class Server(asyncio.Protocol):
    ready = set()
    load_s = 0

    def connection_made(self, transport):
        self.transport = transport
        self.received = b""

    def data_received(self, data):
        self.received += data
        while True:
            head, separator, rest = self.received.partition(b"\r\n\r\n")
            if not separator:
                return
            length = 0
            for line in head.split(b"\r\n")[1:]:
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            if len(rest) < length:
                return
            self.received = rest[length:]
            _, path, _ = head.split(b" ", 2)
            self.answer(path.decode())

    def answer(self, path):
        parts = path.strip("/").split("/")
        if parts[-1] == "index":
            self.say(200, [{"name": name, "version": "1", "state": "READY"} for name in self.ready])
        elif parts[-1] == "load":
            asyncio.get_running_loop().call_later(self.load_s, self.loaded, parts[-2])
        elif parts[-1] == "unload":
            self.ready.discard(parts[-2])
            self.say(200, None)
        elif parts[-1] == "ready":
            self.say(200 if parts[-2] in self.ready else 400, None)
        else:
            self.say(200, {"outputs": []})

    def loaded(self, name):
        self.ready.add(name)
        self.say(200, None)

    def say(self, status, body):
        text = b"" if body is None else json.dumps(body).encode()
        self.transport.write(b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(text)) + text)


async def main(port, load_ms):
    Server.load_s = load_ms / 1000
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


uvloop.install()
asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
