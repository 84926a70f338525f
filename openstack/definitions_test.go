package openstack

import "testing"

func TestDefinitions(t *testing.T) {
	t.Parallel()
	_, cloud := asAdministrator(t)
	want := Definitions{
		Namespace: "NDOCK::Flavor", DisplayName: "Docker", Description: "of Docker", Visibility: "public",
		Resources:  []DefinedResource{{"OS::Nova::Flavor"}},
		Properties: map[string]map[string]any{"ndock:shm_size_mb": {"title": "size", "type": "integer", "minimum": 1.0}},
	}
	if got, err := cloud.Definitions(t.Context(), want.Namespace); got != nil || err != nil {
		t.Errorf("before: %v, %v", got, err)
	}
	if err := cloud.AddDefinitions(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if got, err := cloud.Definitions(t.Context(), want.Namespace); err != nil || !got.Equal(want) {
		t.Errorf("got %v, %v", got, err)
	}
	if other := (Definitions{Namespace: want.Namespace}); want.Equal(other) {
		t.Error("others are equal")
	}
	if err := cloud.AddDefinitions(t.Context(), want); err == nil {
		t.Error("they were added twice")
	}
	if err := cloud.RemoveDefinitions(t.Context(), want.Namespace); err != nil {
		t.Error(err)
	}
	if got, err := cloud.Definitions(t.Context(), want.Namespace); got != nil || err != nil {
		t.Errorf("after: %v, %v", got, err)
	}
}

func TestDefinitionsAreAdministrators(t *testing.T) {
	t.Parallel()
	_, tenant := newFake(t)
	if err := tenant.AddDefinitions(t.Context(), Definitions{Namespace: "NDOCK::Flavor"}); !Refused(err) {
		t.Errorf("adding: %v", err)
	}
	if err := tenant.RemoveDefinitions(t.Context(), "NDOCK::Flavor"); !Refused(err) {
		t.Errorf("removing: %v", err)
	}
}
