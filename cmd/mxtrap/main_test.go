package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"mxtrap": func() { os.Exit(run(os.Args[1:])) }})
}

// TestCommandLine runs what an operator would type; each script in testdata/script is one story.
func TestCommandLine(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE") != "",
		Setup: func(e *testscript.Env) error {
			wd, err := os.Getwd()
			e.Setenv("REPO", wd+"/../..")
			return err
		},
	})
}
