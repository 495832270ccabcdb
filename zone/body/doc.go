// Package body is all of a zone that a look-up reads, in one piece of memory.
//
// [Build] makes a [Body] of checked content (compile.go, and hosts.go for what is the trap's). A look-up walks down its tree of names and
// gives an [Answer]: RRsets as they go on the wire, and the links of the chain that prove what is not there (lookup.go, chain.go).
// The records can be read back with every name whole (records.go).
//
// A body never changes. This package knows no other zone, no signature that is made here, no file and no clock. The standards are RFC 1034
// 4.3.2, RFC 2308 (negative answers), RFC 4592 (wildcards), RFC 6672 (DNAME), RFC 9471 (glue), and RFC 4035 3.1 and 5155 7 (proofs).
package body
