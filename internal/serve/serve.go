// Package serve answers the host: it is the process around the mounts. It knows the
// plugin protocol and the machine, and nothing of what a mount does.
package serve

import (
	"context"
	"fmt"
	"math"
	"os"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/sdk/helper/pluginutil"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/plugin"
	"github.com/hashicorp/vault/sdk/plugin/pb"
	"google.golang.org/grpc"

	"vault-plugin-auth-kubernetes/internal/processors"
)

// Mounts answers the host until it goes away, with mounts that factory makes. It is what
// the sdk's ServeMultiplex does, with a gRPC server made for many short requests;
// docs/performance.md has what each part of that is worth. loginPath is the path whose
// existence the host need not ask for.
func Mounts(meta *api.PluginAPIClientMeta, factory logical.Factory, loginPath string) error {
	if err := pluginutil.OptionallyEnableMlock(); err != nil {
		return fmt.Errorf("memory cannot be locked, which Vault asks for unless it has disable_mlock: %w; "+
			"give this file the capability (setcap cap_ipc_lock=+ep FILE), or set disable_mlock = true", err)
	}
	logger := hclog.New(&hclog.LoggerOptions{
		Level:      hclog.Trace, // the host has the level that its operator chose
		Output:     os.Stderr,
		JSONFormat: true,
	})
	ctx, cancel := context.WithCancel(context.Background()) // ends with the process
	defer cancel()
	processors.Follow(ctx)
	spare := spareHeap()
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig:  plugin.HandshakeConfig,
		VersionedPlugins: pluginSets(factory, logger),
		// Only hosts before Vault 1.12 use this; later ones agree on
		// certificates with the plugin by themselves (AutoMTLS).
		TLSProvider: api.VaultPluginTLSProvider(meta.GetTLSConfig()),
		Logger:      logger,
		GRPCServer:  newGRPCServer(loginPath),
	})
	spare.release()
	return nil
}

// pluginSets are what the plugin offers under each version of the host's protocol;
// from 5 on, all mounts of a host share one process.
func pluginSets(factory logical.Factory, logger hclog.Logger) map[int]goplugin.PluginSet {
	sets := map[int]goplugin.PluginSet{}
	for version := 3; version <= 5; version++ {
		sets[version] = goplugin.PluginSet{plugin.BackendPluginName: &plugin.GRPCBackendPlugin{
			Factory:             factory,
			MultiplexingSupport: version >= 5,
			Logger:              logger,
		}}
	}
	return sets
}

// streamWorkers is how many goroutines are kept for the host's requests. A fresh one
// would grow its stack for each of them. More requests than these get goroutines of
// their own, so this bounds nothing.
const streamWorkers = 64

func newGRPCServer(loginPath string) func([]grpc.ServerOption) *grpc.Server {
	return func(options []grpc.ServerOption) *grpc.Server {
		return goplugin.DefaultGRPCServer(append(options,
			grpc.MaxRecvMsgSize(math.MaxInt32), // the host has bounds of its own
			grpc.MaxSendMsgSize(math.MaxInt32),
			grpc.NumStreamWorkers(streamWorkers),
			grpc.ChainUnaryInterceptor(
				newEnding(endingGrace, endingQuiet, func() { os.Exit(0) }).intercept,
				skipExistenceOf(loginPath),
			),
		))
	}
}

// skipExistenceOf answers the question that the host asks before each login, which is
// whether something exists at its path, without taking the whole request apart for it.
// The answer is that of the framework for a path that has no existence check.
func skipExistenceOf(loginPath string) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		check, ok := request.(*pb.HandleExistenceCheckArgs)
		if ok && check.GetRequest().GetPath() == loginPath {
			return &pb.HandleExistenceCheckReply{}, nil
		}
		return next(ctx, request)
	}
}
