"""Receivers that behave badly, and certificates that are wrong."""

import base64
import hashlib
import hmac
import socket
import ssl
import subprocess
import threading
import time


class Hostile:
    """A TCP server of its own that does `behave(connection, request)` with each request."""

    def __init__(self, behave, tls=None):
        self.behave = behave
        self.tls = tls
        self.requests = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.take, args=(connection,), daemon=True).start()

    def take(self, connection):
        try:
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            with connection:
                request = read_request(connection)
                self.requests += 1
                self.behave(connection, request)
        except (OSError, ssl.SSLError):
            pass

    def close(self):
        self.listener.close()


def read_request(connection):
    """Headers by name in small letters, and the body."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            raise OSError("closed")
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    headers = {}
    for line in head.decode().split("\r\n")[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65536)
    return headers, body


def status(code, text="", headers=""):
    def behave(connection, _):
        connection.sendall(
            f"HTTP/1.1 {code} X\r\nContent-Length: {len(text)}\r\nConnection: close\r\n{headers}\r\n{text}".encode())

    return behave


def garbage(connection, _):
    connection.sendall(bytes(range(256)) * 16)


def hangs(connection, _):
    time.sleep(3600)


def drips_head(connection, _):
    for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000:
        connection.sendall(bytes([byte]))
        time.sleep(0.1)


def drips_body(connection, _):
    connection.sendall(b"HTTP/1.1 500 X\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(100_000):
        connection.sendall(b"x")
        time.sleep(0.1)


def floods(connection, _):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65536)


def closes(connection, _):
    pass


def half(connection, _):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")


def wants(header, value):
    """Answers 200 to requests with this header, 401 to others."""

    def behave(connection, request):
        headers, _ = request
        status(200 if headers.get(header) == value else 401)(connection, request)

    return behave


def wants_signature(secret):
    def behave(connection, request):
        headers, body = request
        code = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        status(200 if headers.get("x-bongsu-signature") == code else 401)(connection, request)

    return behave


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class Certificates:
    """An authority, and servers' certificates by it: right, of another authority, expired, for another host."""

    def __init__(self, folder):
        self.folder = folder
        self.authority("ca")
        self.authority("stranger")
        self.server("right", "ca", "localhost")
        self.server("foreign", "stranger", "localhost")
        self.server("elsewhere", "ca", "elsewhere.example")
        self.server("expired", "ca", "localhost", until="20200201000000Z")

    def openssl(self, *words):
        ended = subprocess.run(["openssl", *words], capture_output=True, text=True, cwd=self.folder)
        if ended.returncode != 0:
            raise RuntimeError(f"openssl {' '.join(words)}: {ended.stderr}")

    def authority(self, name):
        self.openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key",
            "-out", f"{name}.pem", "-days", "30", "-subj", f"/CN={name}")

    def server(self, name, authority, host, until="20400101000000Z"):
        self.openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key", "-out",
            f"{name}.csr", "-subj", f"/CN={host}")
        with open(f"{self.folder}/{name}.cnf", "w") as file:
            file.write(
                f"[ca]\ndefault_ca = here\n[here]\ndatabase = {name}.index\nserial = {name}.serial\nnew_certs_dir = .\n"
                f"default_md = sha256\npolicy = any\nx509_extensions = server\nunique_subject = no\n"
                f"[any]\ncommonName = supplied\n[server]\nsubjectAltName = DNS:{host}\n")
        open(f"{self.folder}/{name}.index", "w").close()
        with open(f"{self.folder}/{name}.serial", "w") as file:
            file.write("01\n")
        self.openssl(
            "ca", "-batch", "-notext", "-config", f"{name}.cnf", "-cert", f"{authority}.pem", "-keyfile",
            f"{authority}.key", "-in", f"{name}.csr", "-out", f"{name}.pem", "-startdate", "20200101000000Z",
            "-enddate", until)

    def context(self, name):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{self.folder}/{name}.pem", f"{self.folder}/{name}.key")
        return context
