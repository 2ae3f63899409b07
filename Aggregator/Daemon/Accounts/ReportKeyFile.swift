import BongsuEnrolment
import BongsuReports

/// The key that reports are signed by.
///
///     DIR/keys/report.key     mode 0600, made at the first start: bongsu-report-key 1 ⏎ secret key in base64 ⏎
///
/// It belongs to the data: who restores a backup goes on signing as before. Whoever takes the file away gets a new key, and
/// old reports are then checked against the old public key, as it was handed out.
enum ReportKeyFile {
  /// The key of the data directory. A file that cannot be read or holds no key keeps the aggregator from starting: a new
  /// key in its place would make all that was signed look like somebody else's.
  static func signer(directory: String) throws -> ReportSigner {
    let path = "\(directory)/keys/report.key"
    do {
      if let text = try SecretFile.read(path) {
        guard let signer = ReportSigner(secretText: text) else {
          throw StartFailure(
            "\(path) holds no key for signing reports; restore it from a backup, or move it away to get a new one")
        }
        return signer
      }
      let signer = ReportSigner()
      try SecretFile.makeDirectory("\(directory)/keys")
      try SecretFile.write(signer.secretText, to: path)
      return signer
    } catch let failure as SecretFile.Failure {
      throw StartFailure("\(failure)")
    }
  }
}
