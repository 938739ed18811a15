"""A port where a test waits for connections."""

import socket
import threading


class Listener:
    """Takes connections, counts them, and gives each to `talk`, on a thread of its own."""

    def __init__(self, talk=lambda peer: None):
        self.talk = talk
        self.visits = 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            self.visits += 1
            threading.Thread(target=self.meet, args=(peer,), daemon=True).start()

    def meet(self, peer):
        with peer:
            self.talk(peer)

    def close(self):
        self.socket.close()
