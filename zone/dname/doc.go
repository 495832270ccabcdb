// Package dname is domain names: in wire format, and as text.
//
// [Append] reads text and [AppendText] writes it, so that each octet survives the way there and back. A name in lower case is equal to
// another in Go where the two are equal in the DNS.
//
// It knows no record and no message; compression is the business of those. The standards are RFC 1035 2.3.4, 3.1 and 5.1, and RFC 4343.
package dname
