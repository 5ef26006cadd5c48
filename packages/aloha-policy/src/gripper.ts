/**
 * @file ALOHA's gripper in three units. *Linear*: what a robot reports, 0 closed … 1 open, linear in the way of
 * the fingers. *Angular*: what π0's base model was trained with, 0 … 1, linear in the angle of the motor.
 * *Command*: what a recorded action holds and a robot takes, the motor's angle over another range. Constants
 * and formulas are openpi's (`policies/aloha_policy.py`).
 */

/** Finger positions that a report of 0 and 1 stands for, m. */
const LINEAR_CLOSED = 0.01844;
const LINEAR_OPEN = 0.058;
/** The crank between motor and finger, m. */
const ARM = 0.036;
const HORN = 0.022;
/** Motor angles that π0's 0 and 1 stand for, rad: encoder counts 2405 and 3110 of 4096, zero at 2048. */
const ANGLE_CLOSED = 0.5476;
const ANGLE_OPEN = 1.6296;
/** Motor angles that a command of 0 and 1 stands for, rad. */
const COMMAND_CLOSED = -0.6213;
const COMMAND_OPEN = 1.491;

/** A robot's report (0 closed … 1 open) as π0's angular unit. Beyond the crank's reach the angle is ±π/2. */
export function gripperLinearToAngular(value: number): number {
  const position = value * (LINEAR_OPEN - LINEAR_CLOSED) + LINEAR_CLOSED;
  const sine = (HORN ** 2 + position ** 2 - ARM ** 2) / (2 * HORN * position);
  const angle = Math.asin(Math.min(Math.max(sine, -1), 1));
  return (angle - ANGLE_CLOSED) / (ANGLE_OPEN - ANGLE_CLOSED);
}

/**
 * The inverse of {@link gripperLinearToAngular} where that is one: angles up to π/2. It solves the crank's law
 * of cosines for the finger: `p = r·sin θ + √(l² − r²·cos² θ)`.
 */
export function gripperAngularToLinear(value: number): number {
  const angle = value * (ANGLE_OPEN - ANGLE_CLOSED) + ANGLE_CLOSED;
  const position = HORN * Math.sin(angle) + Math.sqrt(ARM ** 2 - (HORN * Math.cos(angle)) ** 2);
  return (position - LINEAR_CLOSED) / (LINEAR_OPEN - LINEAR_CLOSED);
}

/** A model's gripper action as the command that the robot takes (openpi `_gripper_from_angular`). */
export function gripperAngularToCommand(value: number): number {
  return (value + ANGLE_CLOSED - COMMAND_CLOSED) / (COMMAND_OPEN - COMMAND_CLOSED);
}

/** A recorded command as a model's gripper action (openpi `_gripper_from_angular_inv`). */
export function gripperCommandToAngular(value: number): number {
  return value * (COMMAND_OPEN - COMMAND_CLOSED) + COMMAND_CLOSED - ANGLE_CLOSED;
}
