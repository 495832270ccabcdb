// Package interop runs the mxtrap binary against real peers: resolvers, name servers, mail hosts and tools of Debian's packages.
//
// Each test has the build tag interop and needs those packages; .ci/run installs them. All traffic stays on loopback, or in network
// namespaces that a test makes. peer_test.go has what all tests share: a binary built once, and an instance of it with its zones.
package interop
