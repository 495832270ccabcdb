// Package zone is a compiled zone: all that a look-up reads, in one piece of memory.
//
// [Compile] makes it of checked content (compile.go, body.go). A [Set] of zones finds the one that a name is in and answers a question from it
// (set.go, lookup.go), with the RRsets as they go on the wire. A zone can be printed, transferred record by record and compared with another
// version (print.go, transfer.go, history.go, version.go), and it knows which of its hosts are the trap's (hosts.go).
//
// A zone never changes. This package reads no file, opens no socket and knows no clock. The standards are RFC 1034 4.3.2, RFC 2308
// (negative answers), RFC 4592 (wildcards), RFC 6672 (DNAME) and RFC 9471 (glue).
package zone
