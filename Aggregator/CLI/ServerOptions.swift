internal import ArgumentParser
internal import Foundation

/// Where the aggregator is and how to prove who asks.
struct ServerOptions: ParsableArguments {
  @Option(help: "Address of the aggregator; else BONGSU_URL, else http://127.0.0.1:7480.")
  var url: String?

  @Option(help: "Token of the aggregator; else BONGSU_TOKEN. Others on this machine may see it in a list of processes.")
  var token: String?

  @Option(
    name: .customLong("ca-file"),
    help: "Certificates of the authorities to trust, PEM, instead of the system's; else BONGSU_CA_FILE.")
  var caFile: String?

  /// The address without a slash at its end.
  func address(environment: [String: String] = ProcessInfo.processInfo.environment) throws -> String {
    let given = url ?? environment["BONGSU_URL"].flatMap { $0.isEmpty ? nil : $0 } ?? "http://127.0.0.1:7480"
    guard let parts = URLComponents(string: given), let scheme = parts.scheme?.lowercased(),
      scheme == "http" || scheme == "https", let host = parts.host, !host.isEmpty, parts.query == nil,
      parts.fragment == nil, parts.user == nil
    else {
      throw ValidationError(
        "the address of the aggregator is \"\(given)\"; give http://HOST:PORT or https://HOST:PORT by --url or BONGSU_URL"
      )
    }
    var address = given
    while address.hasSuffix("/") { address.removeLast() }
    return address
  }

  /// The token, `nil` when there is none.
  func secret(environment: [String: String] = ProcessInfo.processInfo.environment) -> String? {
    token ?? environment["BONGSU_TOKEN"].flatMap { $0.isEmpty ? nil : $0 }
  }

  /// The file of authorities to trust, `nil` for the system's.
  func authorities(environment: [String: String] = ProcessInfo.processInfo.environment) -> String? {
    caFile ?? environment["BONGSU_CA_FILE"].flatMap { $0.isEmpty ? nil : $0 }
  }

  func validate() throws {
    _ = try address()
  }
}

/// How data is printed.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
  case table
  case json
  case csv
}
