// Command bench measures this plugin beside Vault's own kubernetes method: on one
// machine, in one Vault, against one API server, with the same roles and tokens.
// Everything it talks to it started itself, on loopback.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"vault-plugin-auth-kubernetes/bench/internal/floor"
)

const usage = `usage: bench run [FLAG...]   measure, print tables, write the results (bench run -help)
       bench plot [FLAG...]  draw the plots and fill the tables of the documentation anew
`

var errUsage = errors.New("unknown or missing command")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := dispatch(ctx, os.Args[1:])
	stop()
	if errors.Is(err, errUsage) {
		fmt.Fprint(os.Stderr, usage)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func dispatch(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	switch args[0] {
	case "run":
		return runCommand(ctx, args[1:])
	case "plot":
		return plotCommand(args[1:])
	case floor.Command: // of this very program, see package floor
		return floor.Serve(ctx, os.Stdin, os.Stdout)
	}
	return errUsage
}
