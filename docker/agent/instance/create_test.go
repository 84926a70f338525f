package instance_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	networks "github.com/docker/docker/api/types/network"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/instance"
	"ndock/docker/agent/naming"
	"ndock/docker/engine/enginetest"
	"ndock/docker/network"
)

var errUnstartable = errors.New(`OCI runtime create failed: unable to start container process: exec: "x": not found: unknown`)

const (
	firstPort  = "3f6a0b1c-d2e4-4f56-8a78-9b0c1d2e3f40"
	secondPort = "4f6a0b1c-d2e4-4f56-8a78-9b0c1d2e3f40"
)

func spec(t *testing.T) string {
	t.Helper()
	text, err := json.Marshal(small())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// withImage is an engine that has the server's image, and these of its ports are recorded.
func withImage(t *testing.T, ports ...string) *enginetest.Engine {
	t.Helper()
	engine := enginetest.New()
	engine.Images[naming.ImageTag(enginetest.ImageID)] = image.InspectResponse{ID: enginetest.Cached}
	var all []network.Port
	for index, id := range ports {
		dns := []netip.Addr{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("fd00::2")}
		all = append(all, network.Port{ID: id, Index: index, Subnets: []network.Subnet{{DNS: dns}}})
	}
	if err := network.SetPorts(filepath.Join(agenttest.StateOf(t, engine), enginetest.ServerID), all); err != nil {
		t.Fatal(err)
	}
	return engine
}

func TestCreate(t *testing.T) {
	engine := withImage(t)
	status, body := ask(t, engine, "PUT", agenttest.ServerPath, spec(t))
	agenttest.WantOK(t, status, body)
	made := engine.Containers[naming.Container(enginetest.ServerID)]
	if made.Config.Image != enginetest.Cached || made.HostConfig.NetworkMode != "none" || made.HostConfig.Runtime != "ndock" || made.State.Running {
		t.Errorf("got %+v %+v", made.Config, made.HostConfig)
	}
}

// TestImageBeyondFlavor: an image that a new server has no disk for is refused; a server that moves keeps its files.
func TestImageBeyondFlavor(t *testing.T) {
	for name, c := range map[string]struct {
		size int64
		disk int
		new  bool
		ok   bool
	}{
		"it fits":                {5 << 30, 5, true, true},
		"it does not":            {5<<30 + 1, 5, true, false},
		"a flavor without limit": {5<<30 + 1, 0, true, true},
		"a server that moves":    {5<<30 + 1, 5, false, true},
	} {
		engine := withImage(t)
		engine.Images[naming.ImageTag(enginetest.ImageID)] = image.InspectResponse{ID: enginetest.Loaded, Size: c.size}
		wanted := small()
		wanted.RootGB, wanted.New = c.disk, c.new
		text, err := json.Marshal(wanted)
		if err != nil {
			t.Fatal(err)
		}
		status, body := ask(t, engine, "PUT", agenttest.ServerPath, string(text))
		if c.ok {
			agenttest.WantOK(t, status, body)
			continue
		}
		agenttest.WantFault(t, status, body, 422, agent.UnusableFlavor)
		if !strings.Contains(body, "the image unpacks to 5120 MiB, more than the flavor's disk of 5 GiB") || engine.Containers[naming.Container(enginetest.ServerID)].ContainerJSONBase != nil {
			t.Errorf("%s: got %s", name, body)
		}
	}
}

// TestNames: a container knows its own name and Neutron's resolvers, and none of the host's.
func TestNames(t *testing.T) {
	engine := withImage(t, firstPort, secondPort)
	status, body := ask(t, engine, "PUT", agenttest.ServerPath, spec(t))
	agenttest.WantOK(t, status, body)
	dir := filepath.Join(engine.State, enginetest.ServerID)
	mounted := map[string]string{}
	for _, mount := range engine.Containers[naming.Container(enginetest.ServerID)].HostConfig.Mounts {
		mounted[mount.Source] = mount.Target
	}
	if !maps.Equal(mounted, network.NameFiles(dir)) {
		t.Errorf("got mounts %v", mounted)
	}
	text, err := os.ReadFile(filepath.Join(dir, "resolv.conf"))
	if want := "nameserver 10.0.0.2\nnameserver fd00::2\n"; err != nil || string(text) != want {
		t.Errorf("got %q, %v, want %q", text, err, want)
	}
}

// TestNamesOfARunningServer are its own copies; a server that an earlier release started has none.
func TestNamesOfARunningServer(t *testing.T) {
	engine := withImage(t, firstPort)
	engine.PutServer(container.StateRunning)
	found := engine.Containers[naming.Container(enginetest.ServerID)]
	names := t.TempDir()
	s := newInstances(engine, instance.Options{State: engine.State, Names: names})
	copies := filepath.Join(names, found.ID)
	if err := s.Ports.RefreshNames(found); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(copies); err == nil {
		t.Errorf("%s was made", copies)
	}
	if err := os.Mkdir(copies, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.Ports.RefreshNames(found); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{copies, filepath.Join(engine.State, enginetest.ServerID)} {
		if text, err := os.ReadFile(filepath.Join(dir, "resolv.conf")); err != nil || !strings.Contains(string(text), "nameserver 10.0.0.2") {
			t.Errorf("%s: got %q, %v", dir, text, err)
		}
	}
}

func TestCreateRefuses(t *testing.T) {
	t.Run("a second container", func(t *testing.T) {
		engine := withImage(t)
		engine.PutServer(container.StateRunning)
		status, body := ask(t, engine, "PUT", agenttest.ServerPath, spec(t))
		agenttest.WantFault(t, status, body, 400, agent.BadRequest)
	})
	t.Run("without the image", func(t *testing.T) {
		status, body := ask(t, enginetest.New(), "PUT", agenttest.ServerPath, spec(t))
		agenttest.WantFault(t, status, body, 500, agent.Failed)
		if !strings.Contains(body, enginetest.ImageID) {
			t.Errorf("got %s", body)
		}
	})
	t.Run("what is no JSON", func(t *testing.T) {
		engine := withImage(t)
		status, body := ask(t, engine, "PUT", agenttest.ServerPath, "{")
		agenttest.WantFault(t, status, body, 400, agent.BadRequest)
		engine.WantCalls(t)
	})
	t.Run("more than a spec can be", func(t *testing.T) {
		status, body := ask(t, withImage(t), "PUT", agenttest.ServerPath, `{"user_data":"`+strings.Repeat("A", 16<<20)+`"}`)
		agenttest.WantFault(t, status, body, 400, agent.BadRequest)
		if !strings.Contains(body, "the request's JSON: unexpected EOF") { // it is not read to its end
			t.Errorf("got %s", body)
		}
	})
	t.Run("what is no server's id", func(t *testing.T) {
		status, body := ask(t, withImage(t), "PUT", "/v1/instances/web", spec(t))
		agenttest.WantFault(t, status, body, 400, agent.BadRequest)
	})
	t.Run("what Docker finds wrong with the image", func(t *testing.T) {
		engine := withImage(t)
		engine.Fail["ContainerCreate"] = errUnstartable
		status, body := ask(t, engine, "PUT", agenttest.ServerPath, spec(t))
		agenttest.WantFault(t, status, body, 422, agent.UnusableImage)
	})
}

// A create that fails leaves nothing of its own on the disk, whatever it fails at. What was there before stays, as the record of
// ports. A container that could not be removed is no server's.
func TestACreateThatFailsLeavesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*agent.Spec)
		fail   []string
	}{
		"the flavor":              {change: func(s *agent.Spec) { s.ExtraSpecs = map[string]string{"ndock:nonsense": "1"} }},
		"Docker":                  {fail: []string{"ContainerCreate"}},
		"a file":                  {fail: []string{"CopyToContainer"}},
		"a file, and its removal": {fail: []string{"CopyToContainer", "ContainerRemove"}},
		"its name":                {fail: []string{"ContainerRename"}},
	} {
		engine := withImage(t, firstPort)
		for _, call := range c.fail {
			engine.Fail[call] = enginetest.ErrAway
		}
		wanted := small()
		wanted.ConfigDrive = map[string][]byte{"openstack/latest/meta_data.json": nil}
		wanted.Files = []agent.File{{Path: "/etc/motd"}}
		if c.change != nil {
			c.change(&wanted)
		}
		if status, body := ask(t, engine, "PUT", agenttest.ServerPath, marshal(t, wanted)); status == http.StatusOK {
			t.Fatalf("%s: got %d %s", name, status, body)
		}
		_, noDrive := os.Stat(filepath.Join(engine.State, enginetest.ServerID, "config-drive"))
		if noDrive == nil || len(portsIn(t, engine)) != 1 {
			t.Errorf("%s: got %v, ports %v", name, noDrive, portsIn(t, engine))
		}
		status, body := ask(t, engine, "POST", agenttest.ServerPath+"/start", "")
		agenttest.WantFault(t, status, body, http.StatusNotFound, agent.NoSuchInstance)
	}
}

// A server whose directory was removed while its image came, as no server's, would be up without its ports.
func TestACreateWithoutARecordOfPorts(t *testing.T) {
	engine := withImage(t, firstPort)
	if err := os.RemoveAll(filepath.Join(engine.State, enginetest.ServerID)); err != nil {
		t.Fatal(err)
	}
	err := newInstances(engine, instance.Options{State: engine.State}).Creator.Create(t.Context(), enginetest.ServerID, small())
	if err == nil || !strings.Contains(err.Error(), "it is not recorded here which ports") {
		t.Errorf("got %v", err)
	}
	if left, err := os.ReadDir(engine.State); err != nil || len(left) != 0 || len(engine.Containers) != 0 {
		t.Errorf("left %v, %v; containers %v", left, err, engine.Containers)
	}
}

// The engine goes on with a create when its caller is gone: what comes of it is known, and so removed, before the server is
// another request's.
func TestACreateWhoseCallerGoes(t *testing.T) {
	docker := withImage(t, firstPort)
	docker.Fail["CopyToContainer"] = context.Canceled
	ctx, gone := context.WithCancel(t.Context())
	wanted := small()
	wanted.Files = []agent.File{{Path: "/etc/motd"}}
	instances := newInstances(leaving{docker, gone}, instance.Options{State: docker.State})
	if err := instances.Creator.Create(ctx, enginetest.ServerID, wanted); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if len(docker.Containers) != 0 {
		t.Errorf("left %v", docker.Containers)
	}
}

// leaving has a caller go while its container is created.
type leaving struct {
	*enginetest.Engine
	gone func()
}

func (l leaving) ContainerCreate(ctx context.Context, config *container.Config, host *container.HostConfig, joined *networks.NetworkingConfig, platform *ocispec.Platform, name string) (container.CreateResponse, error) {
	l.gone()
	made, err := l.Engine.ContainerCreate(ctx, config, host, joined, platform, name)
	return made, errors.Join(err, ctx.Err())
}

func (l leaving) ContainerRemove(ctx context.Context, id string, options container.RemoveOptions) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return l.Engine.ContainerRemove(ctx, id, options)
}

// TestACreateThatOutlivesTheAgent: what Docker finishes for an agent that is gone is no server's. The server's own container is
// started, if it has one, and no verb stumbles over the other.
func TestACreateThatOutlivesTheAgent(t *testing.T) {
	for name, c := range map[string]struct {
		method, path, body string
		want               []string
	}{
		"start":   {method: "POST", path: agenttest.ServerPath + "/start", want: []string{"ndock-ID", "ndock-ID-unfinished"}},
		"restart": {method: "POST", path: agenttest.ServerPath + "/restart?grace=0", want: []string{"ndock-ID", "ndock-ID-unfinished"}},
		"restore": {method: "POST", path: agenttest.ServerPath + "/restore", want: []string{"ndock-ID"}},
		"resize":  {method: "PUT", path: agenttest.ServerPath, body: spec(t), want: []string{"ndock-ID", "ndock-ID-aside"}},
		"delete":  {method: "DELETE", path: agenttest.ServerPath, want: []string{}},
		"orphans": {method: "DELETE", path: "/v1/orphans", want: []string{"ndock-ID-aside"}},
	} {
		t.Run(name, func(t *testing.T) {
			engine := withBackup(t)
			own := engine.Containers[naming.Backup(enginetest.ServerID)].ID
			dieInCreate(engine)
			status, body := ask(t, engine, c.method, c.path, c.body)
			agenttest.WantOK(t, status, body)
			wantContainers(t, engine, c.want...)
			if found, there := engine.Containers[naming.Container(enginetest.ServerID)]; there && name != "resize" && found.ID != own {
				t.Error("another container is the server's")
			}
		})
	}
}

// TestABootThatOutlivesTheAgent: there is nothing to start.
func TestABootThatOutlivesTheAgent(t *testing.T) {
	engine := withImage(t)
	dieInCreate(engine)
	status, body := ask(t, engine, "POST", agenttest.ServerPath+"/start", "")
	agenttest.WantFault(t, status, body, http.StatusNotFound, agent.NoSuchInstance)
	wantOrphans(t, engine, "DELETE", `{"kind":"container","name":"`+naming.Unfinished(enginetest.ServerID)+`"`)
}

// TestAContainerThatIsBeingMade is no orphan.
func TestAContainerThatIsBeingMade(t *testing.T) {
	engine := withImage(t)
	dieInCreate(engine)
	s := newInstances(engine, instance.Options{State: engine.State})
	defer s.Power.Lock(t.Context(), enginetest.ServerID)()
	removed, err := s.Orphans.Remove(t.Context())
	if err != nil || len(removed) != 0 {
		t.Errorf("got %v, %v", removed, err)
	}
	wantContainers(t, engine, "ndock-ID-unfinished")
}

// dieInCreate has Docker make a container for an agent that is gone by then.
func dieInCreate(engine *enginetest.Engine) {
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = newInstances(dying{engine}, instance.Options{State: engine.State}).Creator.Create(context.Background(), enginetest.ServerID, small())
	}()
	<-over
}

// dying has the agent die when its container is made.
type dying struct{ *enginetest.Engine }

func (d dying) ContainerCreate(ctx context.Context, config *container.Config, host *container.HostConfig, joined *networks.NetworkingConfig, platform *ocispec.Platform, name string) (container.CreateResponse, error) {
	_, _ = d.Engine.ContainerCreate(ctx, config, host, joined, platform, name)
	runtime.Goexit()
	panic("unreachable")
}

// What a tenant says of a server, and Docker Engine keeps, is bounded.
func TestASpecWithMuchText(t *testing.T) {
	long := strings.Repeat("a", 1<<20)
	for name, c := range map[string]struct {
		change func(*agent.Spec)
		ok     bool
	}{
		"the name":           {change: func(s *agent.Spec) { s.Name = long }},
		"the hostname":       {change: func(s *agent.Spec) { s.Hostname = "web." + long }},
		"the domain":         {change: func(s *agent.Spec) { s.DNSDomain = long }},
		"the project":        {change: func(s *agent.Spec) { s.ProjectID = long }},
		"a variable":         {change: func(s *agent.Spec) { s.Metadata = map[string]string{"A": long} }},
		"a variable's name":  {change: func(s *agent.Spec) { s.Metadata = map[string]string{long: ""} }},
		"the command":        {change: func(s *agent.Spec) { s.OSCommandLine = long }},
		"the user data":      {change: func(s *agent.Spec) { s.UserData = agenttest.UserData(`{"command":["` + long + `"]}`) }},
		"what Nova lets one": {change: func(s *agent.Spec) { s.Metadata = metadata(128, 255); s.Name = long[:255] }, ok: true},
	} {
		engine, wanted := withImage(t), small()
		c.change(&wanted)
		status, body := ask(t, engine, "PUT", agenttest.ServerPath, marshal(t, wanted))
		if c.ok {
			agenttest.WantOK(t, status, body)
			continue
		}
		if agenttest.WantFault(t, status, body[:min(len(body), 500)], http.StatusBadRequest, agent.BadRequest); len(engine.Containers) > 0 {
			t.Errorf("%s: a container was made", name)
		}
	}
}

// metadata is as many items, each with a key and a value of this length.
func metadata(items, length int) map[string]string {
	all := map[string]string{}
	for i := range items {
		all[fmt.Sprintf("%0*d", length, i)] = strings.Repeat("v", length)
	}
	return all
}

func TestDeleteIsIdempotent(t *testing.T) {
	engine := enginetest.New()
	engine.PutServer(container.StateRunning)
	for range 3 { // there, and then no more
		status, body := ask(t, engine, "DELETE", agenttest.ServerPath, "[]")
		agenttest.WantOK(t, status, body)
	}
	if len(engine.Containers) != 0 {
		t.Errorf("containers %v stay", engine.Containers)
	}
}

func TestDeleteWithoutABody(t *testing.T) {
	status, body := ask(t, enginetest.New(), "DELETE", agenttest.ServerPath, "")
	agenttest.WantOK(t, status, body)
}

// TestDeleteLeavesOthersAlone: a container of that name that is no server's is not removed.
func TestDeleteLeavesOthersAlone(t *testing.T) {
	engine := enginetest.New()
	engine.Put(naming.Container(enginetest.ServerID), map[string]string{}, container.StateRunning)
	status, body := ask(t, engine, "DELETE", agenttest.ServerPath, "[]")
	agenttest.WantOK(t, status, body)
	if len(engine.Containers) != 1 {
		t.Error("it was removed")
	}
}

// TestDeleteThatFails: the ports stay as long as the container does, or nothing would say what is left.
func TestDeleteThatFails(t *testing.T) {
	engine := withImage(t, firstPort)
	engine.PutServer(container.StateRunning)
	engine.Fail["ContainerRemove"] = enginetest.ErrAway
	status, body := ask(t, engine, "DELETE", agenttest.ServerPath, "[]")
	agenttest.WantFault(t, status, body, 500, agent.Failed)
	if ports := portsIn(t, engine); len(ports) != 1 {
		t.Errorf("got ports %v", ports)
	}
}

// TestNovasSpec: what Nova's side sends is what this side understands, to the last field.
func TestNovasSpec(t *testing.T) {
	const dir = "../../../openstack/novadriver/tests/testdata/" // that the driver's own tests compare with what it sends
	for file, want := range map[string]agent.Spec{
		"spec.json": {
			Name: "web", Hostname: "web", ProjectID: "a-project", UserID: "a-user", ImageID: enginetest.ImageID, VCPUs: 2, MemoryMB: 512,
			RootGB: 5, New: true, Metadata: map[string]string{"COLOUR": "blue"}, OSCommandLine: "sleep 60", UserData: agenttest.UserData(`{"command":["true"]}`),
			ExtraSpecs: map[string]string{"hw:cpu_policy": "dedicated", "quota:cpu_shares": "512"},
			PinnedCPUs: []int{2, 3}, SharedCPUs: []int{0, 1}, NUMANodes: []int{1},
		},
		"spec-of-little.json": {
			Name: "web", Hostname: "web", ProjectID: "a-project", UserID: "a-user", ImageID: enginetest.ImageID, VCPUs: 2, MemoryMB: 512,
			RootGB: 5, New: true, Metadata: map[string]string{}, ExtraSpecs: map[string]string{},
			PinnedCPUs: []int{}, SharedCPUs: []int{}, NUMANodes: []int{},
		},
	} {
		text, err := os.ReadFile(dir + file)
		if err != nil {
			t.Fatal(err)
		}
		wantDecoded(t, file, text, want)
	}
}

func wantDecoded(t *testing.T, file string, text []byte, want agent.Spec) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	var got agent.Spec
	if err := decoder.Decode(&got); err != nil {
		t.Errorf("%s: %v", file, err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %+v, want %+v", file, got, want)
	}
	if config, _, err := instance.ContainerFor(enginetest.ServerID, got, enginetest.Loaded); err != nil || config.Hostname != "web" {
		t.Errorf("%s: got %+v, %v", file, config, err)
	}
}

// TestAnImageThatIsNotGlances: whoever has become nova could have another's image by its digest.
func TestAnImageThatIsNotGlances(t *testing.T) {
	engine := withImage(t)
	for _, id := range []string{"", "latest", enginetest.ImageID + "@sha256:" + strings.Repeat("0", 64)} {
		wanted := small()
		wanted.ImageID = id
		status, body := ask(t, engine, "PUT", agenttest.ServerPath, marshal(t, wanted))
		agenttest.WantFault(t, status, body, 400, agent.BadRequest)
	}
	if len(engine.Containers) > 0 {
		t.Errorf("got containers %v", engine.Containers)
	}
}
