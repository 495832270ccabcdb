//go:build unix && !linux

package server

// noNewPrivileges is Linux's alone.
func noNewPrivileges() error { return nil }
