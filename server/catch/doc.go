// Package catch is the SMTP side of the trap: what stands on the decoys' addresses, and tells who came and what he did.
//
// It takes no mail and bounces none: every reply is 2xx or 4xx, and no message text is ever asked for. A [Catch] accepts connections within
// limits (catch.go, places.go), each has a [dialogue], which knows no sockets (dialogue.go), and what that comes to is a [Sighting]
// (sighting.go). Which decoys have an address, and whether their domains' real exchanges are well, is what a [Site] says: where they are
// not, honest mail may come, and it is told at once to come later.
package catch
