// Package server is one running server: its configuration, what it serves, and its life from start to stop.
//
// server.go starts it, reloads it and stops it. publish.go makes what was loaded what is answered, in one swap. arrive.go takes in what
// primaries, catalogs and resolvers bring in between. config.go assembles the server file from the tables that each part reads itself.
// dnsbl.go has the clients in the DNSBL that are listed, and control.go does what the operator's commands ask for. inspect.go is a load without
// serving, for commands such as check.
//
// The parts do not know this package. Each has a door of its own: see answer, socket, load, transfer, peer, resolve, tap, state and pace.
package server
