import AsyncHTTPClient
import BongsuDelivery
import BongsuEnrolment
import BongsuProcess
import Foundation

/// The HTTP clients of all endpoints, one for each way of trusting servers.
struct EndpointClients: Sendable {
  private let clients: [EndpointClient.Trust: HTTPClient]
  private let credentials: [EndpointClient.Credentials?]

  /// A poller that one task uses.
  struct Owned: @unchecked Sendable {
    // `@unchecked Sendable`: handed to one task, which alone uses it.
    let poller: EndpointPoller
  }

  /// Reads passwords and certificates, so that a missing file is said before anything starts.
  init(_ configuration: FacilityConfiguration) throws {
    var problems: [String] = []
    var credentials: [EndpointClient.Credentials?] = []
    for endpoint in configuration.endpoints {
      guard let username = endpoint.username, let file = endpoint.passwordFile else {
        credentials.append(nil)
        continue
      }
      do {
        guard let text = try SecretFile.read(file) else {
          throw Invalid(description: "there is no password file \(file)")
        }
        let password = text.split(separator: "\n").first.map(String.init) ?? ""
        credentials.append(EndpointClient.Credentials(username: username, password: password))
      } catch {
        credentials.append(nil)
        problems.append("\(endpoint.name): \(error)")
      }
    }
    for case .file(let path) in configuration.endpoints.map(\.trust)
    where !FileManager.default.isReadableFile(atPath: path) {
      problems.append("cannot read the certificates in \(path)")
    }
    guard problems.isEmpty else { throw SettingsError(problems) }
    self.credentials = credentials
    var clients: [EndpointClient.Trust: HTTPClient] = [:]
    for trust in Set(configuration.endpoints.map(\.trust)) { clients[trust] = EndpointClient.http(trust) }
    self.clients = clients
  }

  func pollers(_ configuration: FacilityConfiguration, board: ReadingBoard, log: AgentLog) -> [Owned] {
    configuration.endpoints.enumerated().compactMap { number, endpoint in
      guard let http = clients[endpoint.trust] else { return nil }
      let client = EndpointClient(
        base: endpoint.url, credentials: credentials[number], timeout: endpoint.timeout ?? configuration.timeout,
        http: http)
      return Owned(
        poller: EndpointPoller(
          endpoint, number: number, client: client, board: board, interval: configuration.interval, log: log))
    }
  }

  func shutDown() async {
    for client in clients.values { try? await client.shutdown() }
  }
}
