/** ALOHA observations and actions as model inputs and outputs, with the gripper's and joints' conversions. */
export {};
