#!/bin/bash

bash /tmp/provisioning.sh ${TARGET_NODE}
