package openstack

import (
	"encoding/base64"
	"reflect"
	"testing"
	"time"

	"ndock/openstack/fakecloud"
	"ndock/openstack/internal/openstacktest"
)

// bootOptions are those of a server, with the least that is needed.
func bootOptions(fake *fakecloud.Cloud) BootOptions {
	fake.Add(fakecloud.Image, "web")
	return BootOptions{Name: "s", Image: "web", Flavor: "m1.tiny", Count: 1}
}

func waiting(timeout time.Duration) Wait { return Wait{Wanted: true, Timeout: timeout} }

// asked is the request that the first server was made for.
func asked(t *testing.T, fake *fakecloud.Cloud) fakecloud.Object {
	t.Helper()
	servers := fake.All(fakecloud.Server)
	if len(servers) == 0 {
		t.Fatal("Nova has no server")
	}
	return servers[0]["asked"].(fakecloud.Object)
}

func TestBootUserData(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		command []string
		want    string
	}{
		"none":     {nil, ""},
		"words":    {[]string{"sh", "-c", "echo 'a b'; exit 0"}, "#ndock\n" + `{"command":["sh","-c","echo 'a b'; exit 0"]}`},
		"unicode":  {[]string{"echo", "größe\n"}, "#ndock\n" + `{"command":["echo","größe\n"]}`},
		"empty":    {[]string{"echo", ""}, "#ndock\n" + `{"command":["echo",""]}`},
		"a script": {[]string{"echo", "<&>"}, "#ndock\n" + `{"command":["echo","\u003c\u0026\u003e"]}`},
		// gophercloud leaves alone what looks like base64 already.
		"base64": {[]string{"abcd"}, "#ndock\n" + `{"command":["abcd"]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, cloud := newFake(t)
			options := bootOptions(fake)
			options.Command = test.command
			if _, err := cloud.Boot(t.Context(), options); err != nil {
				t.Fatal(err)
			}
			encoded, _ := asked(t, fake)["user_data"].(string)
			if got, err := base64.StdEncoding.DecodeString(encoded); err != nil || string(got) != test.want {
				t.Errorf("user data %q (%v), want %q", got, err, test.want)
			}
		})
	}
}

func TestBootRequest(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	other := fake.Add(fakecloud.Network, "other")
	options := bootOptions(fake)
	options.Networks, options.SecurityGroups, options.KeyName = []string{"other", "private"}, []string{"open"}, "mine"
	options.Environment = map[string]string{"A": "a=b"}
	if _, err := cloud.Boot(t.Context(), options); err != nil {
		t.Fatal(err)
	}
	request := asked(t, fake)
	private := fake.All(fakecloud.Network)[0]["id"]
	for key, want := range map[string]any{
		"name": "s", "imageRef": fake.All(fakecloud.Image)[0]["id"], "flavorRef": fake.All(fakecloud.Flavor)[0]["id"], "key_name": "mine",
		"networks":        []any{map[string]any{"uuid": other}, map[string]any{"uuid": private}},
		"security_groups": []any{map[string]any{"name": "open"}}, "metadata": map[string]any{"A": "a=b"},
	} {
		if !reflect.DeepEqual(request[key], want) {
			t.Errorf("%s is %v, want %v", key, request[key], want)
		}
	}
}

func TestBootOnTheOnlyNetwork(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	options := bootOptions(fake)
	if _, err := cloud.Boot(t.Context(), options); err != nil {
		t.Fatal(err)
	}
	want := []any{map[string]any{"uuid": fake.All(fakecloud.Network)[0]["id"]}}
	if got := asked(t, fake)["networks"]; !reflect.DeepEqual(got, want) {
		t.Errorf("networks %v, want %v", got, want)
	}

	fake.Add(fakecloud.Network, "other")
	_, err := cloud.Boot(t.Context(), options)
	openstacktest.WantError(t, err, "choose a network: there are 2: private, other")
	openstacktest.WantHint(t, err, "give --network NAME")
}

func TestBootManyReturnsOnlyItsOwn(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	fake.Add(fakecloud.Server, "s-0")
	options := bootOptions(fake)
	options.Count = 3
	options.Wait = waiting(time.Minute)
	servers, err := cloud.Boot(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, server := range servers {
		names = append(names, server.Name+" "+server.Status)
	}
	if want := []string{"s-1 ACTIVE", "s-2 ACTIVE", "s-3 ACTIVE"}; !reflect.DeepEqual(names, want) {
		t.Errorf("servers %q, want %q", names, want)
	}
}

func TestBootRefused(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	options := bootOptions(fake)
	options.KeyName = "nobody's"
	_, err := cloud.Boot(t.Context(), options)
	openstacktest.WantError(t, err, `boot server "s": Invalid key_name provided. (req-`)

	breaks(t, fake, fakecloud.QuotaExceeded)
	_, err = cloud.Boot(t.Context(), options)
	openstacktest.WantError(t, err, `boot server "s": Quota exceeded for instances: Requested 1, but already used 10 of 10 instances (req-`)
	openstacktest.WantHint(t, err, "shows the quota")
	if left := fake.All(fakecloud.Server); len(left) != 0 {
		t.Errorf("Nova has %v", left)
	}
}
