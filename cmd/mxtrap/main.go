// Command mxtrap is an authoritative DNS server for mail domains: it serves MX records with decoys.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"mxtrap/server"
	"mxtrap/zone/conf"
)

// Exit codes.
const (
	exitFailure = 1 // bad configuration, or something went wrong
	exitUsage   = 2
)

// errReported is the error of a command that has told the operator already.
var errReported = errors.New("reported")

// usageError is a command line that cannot be.
type usageError struct{ error }

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := rootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(os.Stderr, "mxtrap: %v\nTry 'mxtrap --help'.\n", err)
		return exitUsage
	case !errors.Is(err, errReported):
		fmt.Fprintln(os.Stderr, "mxtrap:", err)
	}
	return exitFailure
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "mxtrap",
		Short:         "An authoritative DNS server whose MX records trap spam senders",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          usage(cobra.NoArgs),
		RunE:          func(c *cobra.Command, _ []string) error { return usageError{errors.New("no command given")} },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(serveCommand(), checkCommand(), showCommand(), simulateCommand(), auditCommand(), exportCommand(), healthCommand(), versionCommand())
	return root
}

// usage marks the error of wrong arguments.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}

// configFlag adds --config to a command.
func configFlag(c *cobra.Command) *string {
	path := c.Flags().StringP("config", "c", "", "server file (default: the built-in example)")
	c.MarkFlagFilename("config", "toml")
	return path
}

// readConfig reads the server file, or takes the example where there is none.
func readConfig(path string) (*server.Config, error) {
	if path == "" {
		return server.Example(), nil
	}
	var report conf.Report
	c := server.ReadConfig(path, &report)
	tell(report.Problems())
	if c == nil {
		return nil, errReported
	}
	return c, nil
}

// tell writes problems to the operator, a line each.
func tell(problems []conf.Problem) {
	for _, p := range problems {
		fmt.Fprintln(os.Stderr, p)
	}
}
