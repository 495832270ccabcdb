package server

import (
	"flag"
	"os"
	"testing"
)

// TestMain lets many tests run at a time: those that are parallel wait for clocks more than for the processor.
func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", "24")
	os.Exit(m.Run())
}
