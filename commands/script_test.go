package commands_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/rogpeppe/go-internal/testscript"

	"ndock/commands"
	"ndock/docker/engine/enginetest"
	"ndock/openstack/fakecloud"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"ndock": func() { os.Exit(commands.Main()) }})
}

// projectRoot returns the directory that has testdata and docs: the one above, where go test runs these tests, or the
// present one, where bin/e2e.test runs them.
func projectRoot(t *testing.T) string {
	t.Helper()
	for _, dir := range []string{".", ".."} {
		if _, err := os.Stat(filepath.Join(dir, "testdata", "e2e")); err != nil {
			continue
		}
		root, err := filepath.Abs(dir)
		if err != nil {
			t.Fatal(err)
		}
		return root
	}
	t.Fatal("neither this directory nor the one above has testdata/e2e: run the tests in the project's root or in commands")
	return ""
}

// TestScripts runs each file of testdata/script: what a user types, and what he sees. Each has a cloud and an engine
// of its own, both fakes.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join(projectRoot(t), "testdata", "script"),
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE") != "",
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"status": status, "cloud": fakeCloud, "retry": retry, "push": push,
		},
		Setup: withFakes,
	})
}

type cloudKey struct{}

// withFakes gives a script what an openrc of demo's would, and nothing of this machine's.
func withFakes(env *testscript.Env) error {
	cloud, engine := fakecloud.New(), enginetest.Serve(enginetest.NewWithImages())
	env.Defer(cloud.Close)
	env.Defer(engine.Close)
	env.Values[cloudKey{}] = cloud
	for name, value := range map[string]string{
		"OS_AUTH_URL": cloud.URL, "OS_USERNAME": "demo", "OS_PASSWORD": fakecloud.Password, "OS_PROJECT_NAME": "demo",
		"OS_CLIENT_CONFIG_FILE": env.WorkDir + "/clouds.yaml", "TOKEN": cloud.Token(), "DOCKER_HOST": engine.Host,
	} {
		env.Setenv(name, value)
	}
	return os.WriteFile(filepath.Join(env.WorkDir, "clouds.yaml"), []byte("clouds: {}\n"), 0o600) // and not this machine's
}

// status N COMMAND…: the command ends with this exit status.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// cloud add KIND NAME [PROPERTY=VALUE…]: make an object, with properties that are not the usual ones; cloud remove KIND
// NAME; cloud fill NAME FILE: the image has these bytes. cloud break FAULT: have something go wrong, until cloud mend FAULT.
func fakeCloud(ts *testscript.TestScript, neg bool, args []string) {
	cloud, ok := ts.Value(cloudKey{}).(*fakecloud.Cloud)
	switch {
	case neg || !ok:
		ts.Fatalf("unsupported: ! cloud")
	case len(args) >= 3 && args[0] == "add":
		cloud.Add(fakecloud.Kind(args[1]), args[2], properties(args[3:]))
	case len(args) == 3 && args[0] == "remove":
		cloud.Remove(fakecloud.Kind(args[1]), args[2])
	case len(args) == 3 && args[0] == "fill":
		cloud.Fill(args[1], []byte(ts.ReadFile(args[2])))
	case len(args) == 2 && args[0] == "break":
		ts.Check(cloud.Break(fakecloud.Fault(args[1])))
	case len(args) == 2 && args[0] == "mend":
		cloud.Mend(fakecloud.Fault(args[1]))
	default:
		ts.Fatalf("usage: cloud add KIND NAME [PROPERTY=VALUE…] | cloud remove KIND NAME | cloud fill NAME FILE | cloud break|mend FAULT")
	}
}

// push REFERENCE…: push a small image to a registry, the same under all the names. push --index pushes one for two
// platforms.
func push(ts *testscript.TestScript, neg bool, args []string) {
	write := func(ref name.Reference) error { return remote.Write(ref, tinyImage(ts)) }
	if len(args) > 0 && args[0] == "--index" {
		args = args[1:]
		write = func(ref name.Reference) error { return remote.WriteIndex(ref, tinyIndex(ts)) }
	}
	if neg || len(args) == 0 {
		ts.Fatalf("usage: push [--index] REFERENCE…")
	}
	for _, text := range args {
		ref, err := name.ParseReference(text, name.Insecure)
		ts.Check(err)
		ts.Check(write(ref))
	}
}

// tinyImage has always the same digest.
func tinyImage(ts *testscript.TestScript) v1.Image {
	layer := static.NewLayer([]byte("a layer"), types.DockerLayer)
	image, err := mutate.AppendLayers(empty.Image, layer)
	ts.Check(err)
	config, err := image.ConfigFile()
	ts.Check(err)
	config.OS, config.Architecture = "linux", "amd64"
	config.Created = v1.Time{Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	config.Config = v1.Config{Entrypoint: []string{"/bin/web"}, Cmd: []string{"--port", "80", "\x1b[31mred"}}
	image, err = mutate.ConfigFile(image, config)
	ts.Check(err)
	return image
}

func tinyIndex(ts *testscript.TestScript) v1.ImageIndex {
	var parts []mutate.IndexAddendum
	for _, architecture := range []string{"amd64", "arm64"} {
		parts = append(parts, mutate.IndexAddendum{
			Add:        mutate.Annotations(tinyImage(ts), map[string]string{"for": architecture}).(v1.Image),
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture}},
		})
	}
	return mutate.AppendManifests(empty.Index, parts...)
}

// properties are JSON where they can be, and else text.
func properties(pairs []string) fakecloud.Object {
	all := fakecloud.Object{}
	for _, pair := range pairs {
		key, text, _ := strings.Cut(pair, "=")
		var value any
		if json.Unmarshal([]byte(text), &value) != nil {
			value = text
		}
		all[key] = value
	}
	return all
}
