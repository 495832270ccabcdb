// Package zone is a compiled zone, and the set of zones that are served.
//
// [Compile] makes a zone of checked content; what a look-up reads of it is its body. A [Set] of zones finds the one that a name is in and
// has the question answered (set.go). [Signatures] are made when they are first needed (signatures.go). A zone can be printed, transferred
// record by record and compared with another version (print.go, transfer.go, history.go, version.go).
//
// A zone never changes. This package reads no file, opens no socket and knows no clock. The standards are RFC 1982 and 1995 (versions),
// RFC 4034 3 (signatures) and RFC 4035 3.1.4.1 (which side of a cut answers).
package zone
