import ArgumentParser
import BongsuAPI

/// Options for who may use HTTP, and how it is encrypted.
struct AccessOptions: ParsableArguments {
  @Option(
    name: .customLong("http-tls-certificate"),
    help: "Certificate chain of the HTTP server, PEM; read again on SIGHUP. With --http-tls-key.")
  var certificate: String?

  @Option(name: .customLong("http-tls-key"), help: "Private key of the HTTP server, PEM; read again on SIGHUP.")
  var key: String?

  @Flag(
    name: .customLong("http-require-token"),
    help: """
      Ask for a token on this machine too, for instance behind a proxy. Make an admin token first, without this flag.
      """)
  var requiresToken = false

  @Flag(
    name: .customLong("open-ranges-left"),
    help: """
      Leave the first instant of windows and lookbacks out of queries, as Prometheus 3 does; else they are those of 2.42.
      """)
  var opensRangesLeft = false

  func validate() throws {
    guard (certificate == nil) == (key == nil) else {
      throw ValidationError("--http-tls-certificate and --http-tls-key belong together; one of them is missing")
    }
  }

  /// The files of the certificate; `nil`: plain HTTP.
  var encryption: APIConfiguration.Encryption? {
    guard let certificate, let key else { return nil }
    return APIConfiguration.Encryption(certificatePath: certificate, keyPath: key)
  }

  /// The API's configuration for an address.
  func configuration(_ http: Address, allowsInsecureListen: Bool, page: String?) -> APIConfiguration {
    var configuration = APIConfiguration(
      host: http.host, port: http.port, allowsInsecureListen: allowsInsecureListen, encryption: encryption,
      requiresToken: requiresToken, pageDirectory: page, version: Release.version)
    configuration.opensRangesLeft = opensRangesLeft
    return configuration
  }
}
