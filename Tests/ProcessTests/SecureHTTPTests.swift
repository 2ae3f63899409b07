import BongsuTestKit
import Foundation
import Testing

/// HTTPS and access tokens with the real programs.
@Suite("HTTP that other machines reach")
struct SecureHTTPTests {
  @Test(
    "over HTTPS a token sees its part, and a certificate is renewed under load without one refusal",
    .timeLimit(.minutes(5)))
  func secure() async throws {
    let folder = try TemporaryDirectory()
    let tls = try await Certificates(in: folder.path)
    try tls.install("first")
    let http = freePort()
    let aggregator = try start(
      folder, http,
      ["--http-tls-certificate", "\(folder.path)/http.pem", "--http-tls-key", "\(folder.path)/http.key"])
    let url = "https://localhost:\(http)"
    let authority = ["BONGSU_URL": url, "BONGSU_CA_FILE": tls.authority]
    #expect(try await eventually(within: 120) { try await run("bongsu", ["status"], authority).status == 0 })

    // The first token is made on this machine, which needs none.
    let made = try await run(
      "bongsu", ["token", "create", "--name", "lab", "--match", "allocation=\"nobody\"", "--expires", "1h"], authority)
    #expect(made.status == 0 && made.errors.contains("not shown again"), "\(made)")
    let secret = made.output.trimmingCharacters(in: .whitespacesAndNewlines)
    let scoped = authority.merging(["BONGSU_TOKEN": secret]) { $1 }
    let listsNode = try await eventually(within: 120) {
      try await run("bongsu", ["nodes", "list", "--format", "csv"], authority).output.contains("node-1")
    }
    #expect(listsNode, "\(aggregator.errors)")
    let part = try await run("bongsu", ["nodes", "list", "--format", "csv"], scoped)
    #expect(part.status == 0 && !part.output.contains("node-1"), "\(part)")
    let forbidden = try await run("bongsu", ["token", "list"], scoped)
    #expect(
      forbidden.status == 1
        && forbidden.errors == "bongsu: the role viewer may not do this; use a token of the role admin (forbidden)\n")
    let wrong = try await run("bongsu", ["status", "--token", secret + "0"], authority)
    #expect(
      wrong.status == 1
        && wrong.errors == "bongsu: the token is not known; set BONGSU_TOKEN or give --token (unauthenticated)\n")

    // Certificates are swapped while others ask without a pause.
    let expiries = try await withThrowingTaskGroup(of: Int.self) { group in
      let stop = folder.path + "/stop"
      for _ in 0..<2 {
        group.addTask {
          var asked = 0
          while !FileManager.default.fileExists(atPath: stop) {
            let ended = try await run("bongsu", ["status"], scoped)
            #expect(ended.status == 0, "\(ended)")
            asked += 1
          }
          return asked
        }
      }
      var expiries = [try await tls.served(http)]
      for name in ["second", "first", "second"] {
        try tls.install(name)
        aggregator.send(SIGHUP)
        let before = expiries[expiries.count - 1]
        #expect(try await eventually(within: 120) { try await tls.served(http) != before }, "\(aggregator.errors)")
        expiries.append(try await tls.served(http))
      }
      try Data().write(to: URL(fileURLWithPath: stop))
      for try await asked in group { #expect(asked > 0) }
      return expiries
    }
    #expect(Set(expiries).count == 2 && expiries[0] == expiries[2], "\(expiries)")

    // What cannot be used leaves the certificate of before in place, and the log says why.
    try Data("nonsense".utf8).write(to: URL(fileURLWithPath: "\(folder.path)/http.pem"))
    aggregator.send(SIGHUP)
    #expect(
      try await eventually(within: 120) {
        aggregator.errors.contains("the certificate of HTTP is left as it was")
          && aggregator.errors.contains("http.pem: it holds no certificate that can be read")
      }, "\(aggregator.errors)")
    #expect(try await run("bongsu", ["status"], scoped).status == 0)

    #expect(try await run("bongsu", ["token", "revoke", "lab"], authority).status == 0)
    #expect(try await run("bongsu", ["status"], scoped).errors.contains("unauthenticated"))
    aggregator.terminate()
    #expect(try await aggregator.ended(within: 20)?.status == 0)
  }

  @Test("what is wrong with a secure address is said with the next step")
  func refusals() async throws {
    let folder = try TemporaryDirectory()
    let tls = try await Certificates(in: folder.path)
    try tls.install("first")
    let http = freePort()
    let aggregator = try start(
      folder, http,
      [
        "--http-tls-certificate", "\(folder.path)/http.pem", "--http-tls-key", "\(folder.path)/http.key",
        "--http-require-token",
      ])
    defer { aggregator.terminate() }
    let url = "https://localhost:\(http)"
    #expect(try await eventually(within: 120) { aggregator.errors.contains("http listening") }, "\(aggregator.errors)")
    func said(_ arguments: [String], _ environment: [String: String]) async throws -> String {
      let ended = try await run("bongsu", arguments, environment)
      #expect(ended.status == 1 && ended.output.isEmpty, "\(ended)")
      return ended.errors
    }
    let unknown = try await said(["status", "--url", url], [:])
    #expect(unknown.contains("cannot be trusted") && unknown.contains("--ca-file"), "\(unknown)")
    let plain = try await said(["status", "--url", "http://localhost:\(http)"], [:])
    #expect(plain.contains("does not speak plain HTTP") && plain.contains("try https://"), "\(plain)")
    let host = try await said(["status", "--url", "https://127.0.0.2:\(http)", "--ca-file", tls.authority], [:])
    #expect(host.contains("it is not for this host"), "\(host)")
    let empty = try await said(["status", "--url", url, "--ca-file", "/dev/null"], [:])
    #expect(empty.contains("/dev/null holds no certificate"), "\(empty)")
    let none = try await said(["status", "--url", url], ["BONGSU_CA_FILE": tls.authority])
    #expect(none == "bongsu: no token was given; set BONGSU_TOKEN or give --token (unauthenticated)\n")
  }

  @Test("an address that others reach is not listened at without encryption, nor with files that do not fit")
  func configuration() async throws {
    let folder = try TemporaryDirectory()
    let tls = try await Certificates(in: folder.path)
    try tls.install("first")
    let other = "\(folder.path)/second.key"
    let pem = "\(folder.path)/http.pem"
    for (options, complaint) in [
      (["--http", "0.0.0.0:0"], "http would listen on 0.0.0.0, which other machines reach, without encryption"),
      (["--http-tls-certificate", pem, "--http-tls-key", other], "http.pem: it does not fit the key in \(other)"),
      (["--http-tls-certificate", pem, "--http-tls-key", "/nonexistent/key"], "/nonexistent/key"),
      (["--http-tls-certificate", "\(folder.path)/names", "--http-tls-key", other], "names: it holds no certificate"),
    ] {
      for extra in [[], ["--check-config"]] {
        let ended = try await run(
          "bongsu-aggregator",
          ["--fleet", "\(repository)/ops/fleets/single-node.yaml", "--data", "\(folder.path)/data"] + options + extra)
        #expect(ended.status == 1 && ended.errors.contains(complaint), "\(options): \(ended)")
      }
    }
    let half = try await run(
      "bongsu-aggregator", ["--fleet", "f.yaml", "--data", "d", "--http-tls-certificate", pem])
    #expect(half.status == 2 && half.errors.contains("belong together"), "\(half)")
  }

  private func start(_ folder: TemporaryDirectory, _ http: UInt16, _ options: [String]) throws -> RunningProgram {
    try RunningProgram(
      "bongsu-aggregator",
      [
        "--fleet", "\(repository)/ops/fleets/single-node.yaml", "--data", "\(folder.path)/data", "--listen",
        "127.0.0.1:\(freePort())", "--http", "0.0.0.0:\(http)",
      ] + options)
  }
}

/// Runs `program` to its end with an environment.
private func run(
  _ program: String, _ arguments: [String], _ environment: [String: String]
) async throws -> Ended {
  let running = try RunningProgram(program, arguments, environment: environment)
  guard let ended = try await running.ended(within: 60) else {
    throw StillRunning(program: program, errors: running.errors)
  }
  return ended
}

/// An authority and two certificates for this machine, made by openssl.
private struct Certificates: Sendable {
  let folder: String
  var authority: String { "\(folder)/ca.pem" }

  init(in folder: String) async throws {
    self.folder = folder
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    try await openssl(
      ["req", "-x509", "-days", "40", "-subj", "/CN=lab authority", "-keyout", "ca.key", "-out", "ca.pem"] + curve)
    try "subjectAltName=DNS:localhost,IP:127.0.0.1".write(
      toFile: "\(folder)/names", atomically: true, encoding: .utf8)
    for (name, days) in [("first", "10"), ("second", "20")] {
      try await openssl(["req", "-subj", "/CN=localhost", "-keyout", "\(name).key", "-out", "\(name).csr"] + curve)
      try await openssl([
        "x509", "-req", "-in", "\(name).csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", days,
        "-extfile", "names", "-out", "\(name).pem",
      ])
    }
  }

  /// Puts a certificate where the server looks for it.
  func install(_ name: String) throws {
    for ending in ["pem", "key"] {
      let data = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name).\(ending)"))
      try data.write(to: URL(fileURLWithPath: "\(folder)/http.\(ending)"), options: .atomic)
    }
  }

  /// The end of the certificate that a port is served with.
  func served(_ port: UInt16) async throws -> String {
    let text = try await openssl(["s_client", "-connect", "127.0.0.1:\(port)"])
    try text.write(toFile: "\(folder)/served.pem", atomically: true, encoding: .utf8)
    return try await openssl(["x509", "-noout", "-enddate", "-in", "served.pem"])
  }

  @discardableResult
  private func openssl(_ arguments: [String]) async throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
    process.arguments = arguments
    process.currentDirectoryURL = URL(fileURLWithPath: folder)
    process.standardInput = FileHandle.nullDevice
    let name = "\(folder)/\(UUID().uuidString)"
    try Data().write(to: URL(fileURLWithPath: name))
    process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: name))
    process.standardError = FileHandle.nullDevice
    try process.run()
    guard try await eventually(within: 60, { !process.isRunning }), process.terminationStatus == 0 else {
      throw ToolFailed(arguments: arguments)
    }
    return try String(contentsOfFile: name, encoding: .utf8)
  }

  struct ToolFailed: Error {
    let arguments: [String]
  }
}
