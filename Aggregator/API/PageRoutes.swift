internal import FoundationEssentials
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore

/// The web page: a few files that are part of the program, and the chart library where Debian puts it.
///
/// Everybody may load them, they tell nothing; what they show comes from addresses that ask who wants to know. The policy
/// lets the page run its own files only, so that a name in the fleet file or a label can never become a program.
struct PageRoutes {
  /// Reads the files from this folder instead, for work on the page; `nil`: those that were built in.
  let directory: String?

  /// Where the package libjs-chart.js puts the library.
  static let chartLibrary = "/usr/share/javascript/chart.js/chart.min.js"

  private struct File {
    let name: String
    let type: String
    let bytes: @Sendable () -> [UInt8]
  }

  private static let script = "text/javascript; charset=utf-8"

  private static let files: [File] = [
    File(name: "index.html", type: "text/html; charset=utf-8") { PackageResources.index_html },
    File(name: "style.css", type: "text/css; charset=utf-8") { PackageResources.style_css },
    File(name: "icon.svg", type: "image/svg+xml") { PackageResources.icon_svg },
    File(name: "app.js", type: script) { PackageResources.app_js },
    File(name: "access.js", type: script) { PackageResources.access_js },
    File(name: "stream.js", type: script) { PackageResources.stream_js },
    File(name: "text.js", type: script) { PackageResources.text_js },
    File(name: "format.js", type: script) { PackageResources.format_js },
    File(name: "parts.js", type: script) { PackageResources.parts_js },
    File(name: "nation.js", type: script) { PackageResources.nation_js },
    File(name: "machines.js", type: script) { PackageResources.machines_js },
    File(name: "factory.js", type: script) { PackageResources.factory_js },
    File(name: "allocation.js", type: script) { PackageResources.allocation_js },
    File(name: "alerts.js", type: script) { PackageResources.alerts_js },
    File(name: "query.js", type: script) { PackageResources.query_js },
  ]

  func install(in table: inout RouteTable) {
    for file in Self.files {
      let load = loader(file)
      table.on(.get, file.name == "index.html" ? "/" : "/page/\(file.name)", right: .probe) { request, _, _ in
        try Self.response(request, load(), file.type)
      }
    }
    table.on(.get, "/page/chart.js", right: .probe) { request, _, _ in
      guard let bytes = Self.contents(Self.chartLibrary) else {
        throw APIError(
          .notAvailable, "the chart library is not at \(Self.chartLibrary)", nextStep: "install libjs-chart.js")
      }
      return try Self.response(request, bytes, Self.script)
    }
  }

  private func loader(_ file: File) -> @Sendable () throws -> [UInt8] {
    guard let directory else { return file.bytes }
    let path = "\(directory)/\(file.name)"
    return {
      guard let bytes = Self.contents(path) else {
        throw APIError(.notFound, "\(path) cannot be read", nextStep: "give --page the folder of the page's files")
      }
      return bytes
    }
  }

  private static func contents(_ path: String) -> [UInt8]? {
    (try? Data(contentsOf: URL(filePath: path))).map { [UInt8]($0) }
  }

  private static func response(_ request: Request, _ bytes: [UInt8], _ type: String) throws -> Response {
    let tag = "\"\(String(digest(bytes), radix: 36))\""
    var headers: HTTPFields = [.contentType: type, .eTag: tag, .cacheControl: "no-cache"]
    headers[.contentSecurityPolicy] = policy
    headers[.referrerPolicy] = "no-referrer"
    headers[.crossOriginOpenerPolicy] = "same-origin"
    headers[.frameOptions] = "DENY"
    if request.headers[.ifNoneMatch] == tag { return Response(status: .notModified, headers: headers) }
    return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
  }

  static let policy = """
    default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'
    """

  /// Tells versions of a file apart (FNV-1a); it guards nothing.
  private static func digest(_ bytes: [UInt8]) -> UInt64 {
    bytes.reduce(14_695_981_039_346_656_037) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 }
  }
}

extension HTTPField.Name {
  fileprivate static let referrerPolicy = HTTPField.Name("Referrer-Policy")!
  fileprivate static let crossOriginOpenerPolicy = HTTPField.Name("Cross-Origin-Opener-Policy")!
  fileprivate static let frameOptions = HTTPField.Name("X-Frame-Options")!
}
