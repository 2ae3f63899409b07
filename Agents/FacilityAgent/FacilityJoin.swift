import BongsuDelivery
import BongsuEnrolment
import BongsuModel
import BongsuTransport

/// `bongsu-facility-agent join`: a key of its own for each node and meter that the settings speak for.
///
/// One string serves all, made with as many uses as there are names and limited to their patterns:
///
///     bongsu join-token create --uses 121 --nodes 'r[001-120]-n1,utility-a'
///
/// Joining again is safe: a name that has joined keeps its key and takes no further use.
enum FacilityJoin {
  static func run(_ scanned: ArgumentScanner) throws {
    let string = try scanned.joinString()
    let configuration = try FacilityMain.configuration(scanned)
    let client = EnrolmentClient(context: try Context())
    var failures: [String] = []
    for node in configuration.nodes {
      let joining = Joining(
        string: string, directory: Streams.directory(of: node, configuration), client: client,
        agentVersion: "facility \(Release.version)")
      do {
        _ = try joining.join(as: node)
        print("joined as \(node)")
      } catch {
        failures.append("\(node): \(error)")
        // Nobody there is nobody there for all others too.
        if let failure = error as? EnrolmentFailure, case .denied = failure { continue }
        break
      }
    }
    let count = configuration.nodes.count
    guard failures.isEmpty else {
      throw Invalid(
        description: "\(failures.count) of \(count) names could not join; join again with the same string once this is "
          + "mended:\n" + failures.joined(separator: "\n"))
    }
    print("\(count) names have joined; keys are in \(configuration.state)")
  }
}
