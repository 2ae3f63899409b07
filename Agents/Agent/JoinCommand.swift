import BongsuDelivery
import BongsuEnrolment
import BongsuModel
import BongsuTransport
import Glibc

/// `bongsu-agent join`: makes this node's key pair, has it enrolled, and keeps it for `run`.
enum JoinCommand {
  static let options: [ArgumentScanner.Option] = [
    .init(name: "--node", value: "ID", help: "name of this node in the fleet (default: the host name)"),
    .init(
      name: "--state", value: "DIR", help: "where the node's key is kept (default: \(NodeIdentity.defaultDirectory))"),
    .init(name: "--timeout", value: "SECONDS", help: "how long each address of the aggregator is tried (default: 10)"),
  ]

  /// Runs the command and prints one line.
  static func run(_ arguments: [String]) throws {
    let scanned = try ArgumentScanner(arguments, options: options)
    let seconds = try timeout(scanned.value("--timeout") ?? "10")
    let string = try scanned.joinString()
    let directory = scanned.value("--state") ?? NodeIdentity.defaultDirectory
    let context = try Context()
    let joining = Joining(
      string: string, directory: directory,
      client: EnrolmentClient(context: context, patience: .seconds(seconds)))
    let identity = try joining.join(as: try scanned.value("--node").map { try HostName.node($0) })
    print(
      "joined as node \(identity.node); key in \(directory)/identity; run delivers to "
        + "\(identity.endpoints.map(\.description).joined(separator: ", ")), encrypted")
  }

  private static func timeout(_ text: String) throws -> Int {
    guard let seconds = Int(text), (1...3600).contains(seconds) else {
      throw ArgumentScanner.UsageError(description: "--timeout is '\(text)', expected seconds from 1 to 3600")
    }
    return seconds
  }
}
