package network

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// fakeOVSDB serves one client at a socket, whose path it returns: answer gets each message, and returns what is sent back.
func fakeOVSDB(t *testing.T, answer func(message map[string]any) string) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "db.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		for messages := json.NewDecoder(conn); ; {
			var message map[string]any
			if messages.Decode(&message) != nil {
				return
			}
			fmt.Fprint(conn, answer(message))
		}
	}()
	return socket
}

// selectAll asks for all interfaces.
var selectAll = ovsdb.Operation{Op: ovsdb.OperationSelect, Table: "Interface", Columns: []string{"name"}}

// rowsAt returns what selectAll finds at a socket.
func rowsAt(socket string) (rows []ovsdb.Row, err error) {
	err = withVSwitch(socket, func(_ context.Context, ovs vswitch) error {
		results, err := ovs.transact(selectAll)
		if err == nil {
			rows = results[0].Rows
		}
		return err
	})
	return rows, err
}

// A server asks in between whether the client is there, tells it things, and waits for its echo.
func TestOVSDBAnswersEcho(t *testing.T) {
	t.Parallel()
	socket := fakeOVSDB(t, func(message map[string]any) string {
		if message["method"] == "transact" {
			return `{"method":"update","params":[],"id":null}{"method":"echo","params":["still there?"],"id":"echo"}`
		}
		if message["id"] == "echo" && fmt.Sprint(message["result"]) == "[still there?]" && message["error"] == nil {
			return `{"id":1,"error":null,"result":[{"rows":[{"name":"tap1"}]}]}`
		}
		return `{"id":1,"error":"this is no answer to an echo","result":null}`
	})
	rows, err := rowsAt(socket)
	if err != nil || len(rows) != 1 || rows[0]["name"] != "tap1" {
		t.Errorf("got %v, %v", rows, err)
	}
}

func TestOVSDBErrors(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		`{"id":1,"error":{"error":"unknown database"},"result":null}`:                         "unknown database",
		`{"id":1,"error":null,"result":[{"error":"constraint violation","details":"a row"}]}`: "constraint violation",
		`{"id":1,"error":null,"result":{}}`:                                                   "read what Open vSwitch answers",
		`nonsense`:                                                                            "ask Open vSwitch",
	} {
		if _, err := rowsAt(fakeOVSDB(t, func(map[string]any) string { return answer })); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("answered %s: got %v, want %q", answer, err, want)
		}
	}
}

// Where no Open vSwitch runs, callers have to know it.
func TestOVSDBIsNotRunning(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := rowsAt(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) || !isNotRunning(err) {
		t.Errorf("no socket: %v", err)
	}
	left := filepath.Join(dir, "left")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: left})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	listener.Close()
	if _, err := rowsAt(left); !errors.Is(err, syscall.ECONNREFUSED) || !isNotRunning(err) {
		t.Errorf("a socket that was left: %v", err)
	}
}

// realOVSDB starts Open vSwitch's own database server with an empty database that has br-int, and returns its socket.
func realOVSDB(t *testing.T) string {
	t.Helper()
	const schema = "/usr/share/openvswitch/vswitch.ovsschema"
	server, err := exec.LookPath("ovsdb-server")
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	db, socket := filepath.Join(dir, "conf.db"), filepath.Join(dir, "db.sock")
	if out, err := exec.Command("ovsdb-tool", "create", db, schema).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	process := exec.Command(server, "--remote=punix:"+socket, "--unixctl="+filepath.Join(dir, "ctl"), "--no-chdir", db)
	ready, err := process.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	process.Env = append(process.Environ(), "OVS_RUNDIR="+dir)
	process.Args = append(process.Args[:1:1], append([]string{"-vconsole:info"}, process.Args[1:]...)...)
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { process.Process.Kill(); process.Wait() })
	if _, err := ready.Read(make([]byte, 1)); err != nil { // it says its version once it listens
		t.Fatal(err)
	}
	err = withVSwitch(socket, func(_ context.Context, ovs vswitch) error {
		_, err := ovs.transact(
			ovsdb.Operation{Op: ovsdb.OperationInsert, Table: "Bridge", UUIDName: "bridge", Row: ovsdb.Row{"name": "br-int"}},
			ovsdb.Operation{Op: ovsdb.OperationInsert, Table: "Open_vSwitch", Row: ovsdb.Row{"bridges": ovsdb.UUID{GoUUID: "bridge"}}},
		)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return socket
}

// TestOVSDBServer adds a port to the configuration of a real Open vSwitch, finds it and removes it.
func TestOVSDBServer(t *testing.T) {
	t.Parallel()
	socket := realOVSDB(t)
	state := t.TempDir()
	port := dualStack()
	port.Kind, port.Bridge, port.Dir, port.Tagged = OpenVSwitch, "br-int", filepath.Join(state, "server"), true
	err := withVSwitch(socket, func(_ context.Context, ovs vswitch) error {
		if err := errors.Join(ovs.add(port.Tap(), port), ovs.add(port.Tap(), port)); err != nil {
			return err
		}
		found := map[string]Port{}
		if err := pluggedInVSwitch(socket, found, state); err != nil || len(found) != 1 {
			t.Errorf("found %v, %v", found, err)
		}
		other := port
		other.Dir = filepath.Join(state, "another")
		if err := SetPorts(port.Dir, []Port{port}); err != nil {
			return err
		}
		if err := ovs.add(port.Tap(), other); err == nil {
			t.Error("another server has taken the port")
		}
		if userspace, err := ovs.inUserspace("br-int"); err != nil || userspace {
			t.Errorf("in user space: %t, %v", userspace, err)
		}
		return errors.Join(ovs.remove(port.Tap(), port), ovs.remove(port.Tap(), port))
	})
	if err != nil {
		t.Fatal(err)
	}
	if rows, err := rowsAt(socket); err != nil || len(rows) != 0 {
		t.Errorf("left: %v, %v", rows, err)
	}
}
